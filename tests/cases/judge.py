#!/usr/bin/env python3
"""Judges what a script of cases/data-path printed:    judge.py CASE FILE

Ends with 0 and a line with the figures when they are within the bounds below, else with 1 and what is wrong.
"""
import re
import sys

MEMORY_MIB = 256            # l3b: what the answers of one connection may hold
READABLE_SECONDS = 2.0      # l4b: until a message can be read, and until the pull that waits for it is answered
HANGING_SECONDS = 0.25      # l8: every request that does not append, while one write of the log hangs
HUNG_SECONDS = 4.0          # l8: the write did hang, or the case shows nothing
INDEX_SECONDS = 1.0         # l12: until a waiting pull is answered while the index cannot be written


class Failure(Exception):
    pass


def find(pattern, text):
    """The groups of the first match."""
    if not (found := re.search(pattern, text)):
        raise Failure("it did not say what was expected: %s" % text.strip()[-300:])
    return found.groups()


def need(good, text):
    if not good:
        raise Failure(text)
    return text


def l1(text):
    lost, rounds = map(int, find(r"(\d+) of (\d+) rounds lost acknowledged messages", text))
    return need(lost == 0, "%d of %d deletions under load lost acknowledged messages" % (lost, rounds))


def l3b(text):
    base, peak = map(int, find(r"anonymous MiB (\d+) -> peak (\d+)", text))
    return need(peak - base <= MEMORY_MIB, "pipelined pulls of one connection took %d MiB" % (peak - base))


def l4b(text):
    readable, answered = map(float, find(r"readable after ([\d.]+) s, the waiting pull answered after ([\d.]+) s", text))
    return need(max(readable, answered) <= READABLE_SECONDS,
                "readable after %.2f s, the waiting pull answered after %.2f s" % (readable, answered))


def l8(text):
    hung, = find(r"sends answered after ([\d.]+) s", text)
    need(float(hung) >= HUNG_SECONDS, "the write did not hang: sends were answered after %s s" % hung)
    waits = re.findall(r"^(.+): code (\d+) after ([\d.]+) s$", text, re.MULTILINE)
    need(len(waits) == 5, "%d of 5 requests were answered" % len(waits))
    slowest = max(waits, key=lambda w: float(w[2]))
    return need(float(slowest[2]) <= HANGING_SECONDS, "slowest of 5 requests: %s after %s s" % (slowest[0], slowest[2]))


def l12(text):
    need("no answer after" not in text, "the waiting pull was not answered at all")
    code, seconds = find(r"the waiting pull: code (\d+).* after ([\d.]+) s", text)
    end, = find(r"readable up to (\d+)", text)
    return need(code == "0" and float(seconds) <= INDEX_SECONDS and int(end) >= 102,
                "the waiting pull was answered after %s s with code %s, %s of 102 messages are readable" % (seconds, code, end))


def l13(text):
    if re.search(r"KeyError: '(extFields|nextBeginOffset)'", text):
        return "the pull was refused; a refusal moves no offset"
    code, following = find(r"pull from 0: code (\d+).* nextBeginOffset (\d+)", text)
    return need(code == "0" or following == "0", "code %s, the consumer's next offset is %s" % (code, following))


def l16(text):
    starts = re.findall(r"^(.*) : starts; PAYMENTS ends at (\d+) .* it ends at (\d+)", text, re.MULTILINE)
    refused = re.findall(r"^(.*) : does not start: (.*)$", text, re.MULTILINE)
    need(len(starts) + len(refused) == 5, "%d of 5 damages were judged: %s" % (len(starts) + len(refused), text.strip()[-300:]))
    need(any(what == "untouched" for what, _, _ in starts), "it does not start without any damage")
    lost = ["%s (%s, then %s)" % s for s in starts if s[1:] != ("10", "10")]
    need(not lost, "the other topic's queue ended at 10, and now: %s" % "; ".join(lost))
    mute = [what for what, said in refused if len(said.split()) < 5]
    need(not mute, "the start is refused without a sentence: %s" % "; ".join(mute))
    return "%d starts with all queues, %d refused with a sentence" % (len(starts), len(refused))


CASES = {f.__name__: f for f in (l1, l3b, l4b, l8, l12, l13, l16)}


def main():
    name, path = sys.argv[1:]
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    try:
        print("ok   %s: %s" % (name, CASES[name](text)))
    except Failure as e:
        print("FAIL %s: %s" % (name, e))
        return 1
    return 0


sys.exit(main())
