"""Runs the cases of cases.py for each pair of tool and server, compares options, and writes or checks the table."""
import argparse
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time

import cases
from mq import Conn, lax

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "mqadmin.md")
OURS = [os.path.join(ROOT, "bin", "mqadmin")]
RMQ = os.path.join(os.environ["SHARED"], "reference", "rmq")
VERSION = os.environ.get("RMQ_VERSION", "4.7.1")
STOCK = [RMQ, "mqadmin", VERSION]
SHELL = [RMQ, "java", VERSION, os.path.join(os.path.dirname(os.path.abspath(__file__)), "StockShell.java")]
PAIRS = os.environ.get("PAIRS", "stock:kerolox ours:reference ours:kerolox").split()
BLOCK = "<!-- %s -->\n", "<!-- /%s -->"
LONGEST_S = float(os.environ.get("LONGEST_S", "90"))


class Pair:
    """One tool against one cluster, and what its cases have found out so far."""

    def __init__(self, name, servers, dir):
        self.name = name
        self.tool, self.kind = name.split(":")
        self.stock = self.tool == "stock"
        self.namesrv, self.broker = servers[self.kind].split(",")
        self.store = os.path.join(dir, self.kind, "br", "store")
        # Names of its own, so that two tools can try the same cluster.
        self.topic, self.ordered, self.group = ("%s_%s" % (word, self.tool) for word in ("topic", "ordered", "group"))
        self.cluster, self.broker_name = "DefaultCluster", "broker-a"
        self.values = {}
        self.shell = None

    def ns(self, code, fields=None, body=b""):
        return self._call(self.namesrv, code, fields, body)

    def br(self, code, fields=None, body=b""):
        return self._call(self.broker, code, fields, body)

    @staticmethod
    def _call(address, code, fields, body):
        conn = Conn(address, 20)
        try:
            return conn.call(code, fields or {}, body)
        finally:
            conn.close()

    def conn(self):
        return Conn(self.broker, 20)

    def route(self, topic):
        return lax(self.ns(105, {"topic": topic})[1])

    def table(self, code, name):
        return lax(self.br(code)[1])[name]

    def run(self, args, until=None):
        """What it printed; a tool that would go on for ever is ended once `until` matches."""
        if self.stock and not until:
            self.shell = self.shell or Started(SHELL, self.namesrv)
            self.shell.process.stdin.write(("\x1f".join(args) + "\n").encode())
            self.shell.process.stdin.flush()
            text = self.shell.wait(lambda text: text.endswith("\n\x04\n"))
            self.shell.out.clear()
            return text[:-3]
        started = Started((STOCK if self.stock else OURS) + args, self.namesrv)
        text = started.wait(until)
        if not until:
            # The stock tool would end with 0 whatever happens.
            assert started.process.wait() == 0, "exit code %d: %s" % (started.process.returncode, text)
        started.end()
        return text

    def close(self):
        if self.shell:
            self.shell.end()


class Started:
    """A running tool and what it has printed so far."""

    def __init__(self, command, namesrv):
        self.out = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE,
                                        env=dict(os.environ, NAMESRV_ADDR=namesrv), start_new_session=True,
                                        cwd=os.environ["RMQ_CLIENT_HOME"])
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for piece in iter(lambda: os.read(self.process.stdout.fileno(), 65536), b""):
            self.out.append(piece)

    def text(self):
        return b"".join(self.out).decode(errors="replace")

    def wait(self, until):
        """Until that is true of the text, or the tool has ended."""
        ends = time.monotonic() + LONGEST_S
        while not (until and until(self.text())):
            if self.process.poll() is not None:
                self.reader.join()
                break
            if time.monotonic() > ends:
                self.end()
                raise AssertionError("it did not come to an end within %d s: %s" % (LONGEST_S, self.text()))
            time.sleep(0.01)
        return self.text()

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join()


def wait_for(what, seconds=40):
    """Until `what()` is true: name servers hear of changes a moment later."""
    ends = time.monotonic() + seconds
    while True:
        try:
            if what():
                return
            why = "it is false"
        except (AssertionError, KeyError, RuntimeError, OSError) as error:
            why = repr(error)
        except Exception as error:  # a refusal of the server
            why = repr(error)
        if time.monotonic() > ends:
            raise AssertionError("not seen within %d s: %s" % (seconds, why))
        time.sleep(0.1)


def one(pair, case):
    """None, or why it failed."""
    text = ""
    try:
        args = case.args(pair)
        until = (lambda text: case.until(pair, text)) if case.until else None
        text = pair.run([case.command] + args, until)
        for pattern in case.expect(pair):
            if not re.search(pattern, text, re.M):
                raise AssertionError("no line matches %s" % pattern)
        if case.effect:
            result = case.effect(pair, text)
            if callable(result):
                wait_for(result)
            elif result is False:
                raise AssertionError("the effect is not there")
    except Exception as error:
        return "%s: %s\n    args: %s\n    printed:\n%s" % (
            type(error).__name__, error, " ".join(args) if "args" in locals() else "?",
            "\n".join("      " + line for line in text.splitlines()[:60]))
    return None


def shape(value, key=""):
    """How a value is built, with its names but not its values; settings and the like, which are many, as one."""
    if isinstance(value, list):
        return "[%s]" % ", ".join(dict.fromkeys(shape(item) for item in value[:1]))
    if isinstance(value, dict):
        free = key in ("properties", "settings", "figures", "rates") or any(re.match(r"[\d.%]", name) for name in value)
        if free:
            return "{*name*: %s}" % shape(next(iter(value.values()))) if value else "{*name*: …}"
        return "{%s}" % ", ".join(name + (": " + shape(value[name], name) if isinstance(value[name], (dict, list)) else "") for name in value)
    return "value"


def told(pair):
    """Asks our tool for JSON; a line of the page for each command, and what failed."""
    lines, failed = [], []
    for command, calls in cases.JSON.items():
        stream, shapes = command in cases.STREAMS, []
        for args in calls:
            text = ""
            try:
                until = (lambda text: text.count("\n") > 0) if command == "clusterRT" else None
                text = pair.run([command] + args(pair) + ["--output", "json"], until)
                values = [json.loads(line) for line in text.splitlines()] if stream else [json.loads(text)]
                assert values and values[0] not in ([], {}), "nothing was told"
                shapes += [shape(value) for value in values]
            except (AssertionError, ValueError) as error:
                failed.append(command)
                print("FAIL  JSON of %s: %s\n%s" % (command, error, text[:2000]))
        lines.append("| `%s` | %s | %s |" % (command, "a line each" if stream else "one", " or ".join("`%s`" % s for s in dict.fromkeys(shapes))))
    print("== JSON: %d commands, %d failed" % (len(cases.JSON), len(failed)))
    head = ["| command | values | built so |", "| --- | --- | --- |"]
    return "\n".join(head + sorted(lines)) + "\n", len(failed)


def bar(pair):
    """Whether a terminal sees the progress of printMsg while its messages go elsewhere; where there is none, nothing does."""
    args = OURS + ["printMsg", "-t", pair.topic]
    env = dict(os.environ, NAMESRV_ADDR=pair.namesrv, TERM="xterm")
    plain = subprocess.run(args, capture_output=True, env=env)
    terminal, end = pty.openpty()
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=end, env=env)
    out = process.stdout.read()
    process.wait()
    os.close(end)
    seen = b""
    try:
        while piece := os.read(terminal, 4096):
            seen += piece
    except OSError:  # a terminal without another end
        pass
    good = b"messages [" in seen and plain.stderr == b"" and plain.stdout == out and out.count(b"MSGID") > 8
    print("%s  progress of printMsg" % ("PASS" if good else "FAIL"), "" if good else (seen, plain.stderr))
    return 0 if good else 1


def options(dir):
    """Compares ours, as the help pages say, with the stock ones; returns (commands, options, differences)."""
    stock = {}
    for line in open(os.path.join(dir, "options.tsv")):
        fields = line.rstrip("\n").split("\t")
        letters = stock.setdefault(fields[0], {})
        if len(fields) > 1:
            # Some stock long names end with a blank, which nobody can type.
            letters[fields[1]] = (fields[2].strip(), *fields[3:])
    row = re.compile(r"^  -(\w), --(\S.*?)(?:( <value>))?  +(.*?)$")
    wrong, count = [], 0
    for command, wanted in stock.items():
        page = subprocess.run(OURS + ["help", command], capture_output=True, text=True).stdout
        one_of = re.search(r"\((-\w) <\w+>\s+\| (-\w) <\w+>\)", page)
        have = {}
        for line in page.splitlines():
            found = row.match(line)
            if found:
                letter, long, value, about = found.groups()
                grouped = one_of and "-" + letter in one_of.groups()
                needed = "yes" if about.endswith("(required)") else "one of" if grouped else "no"
                have[letter] = (long, needed, "value" if value else "switch")
        for letter, (long, needed, value) in wanted.items():
            count += 1
            # `-b` or `-c` is needed by many stock commands that do not say so.
            fits = lambda ours: ours[0] == long and ours[2] == value and (ours[1] == needed or (ours[1], needed) == ("one of", "no"))
            if letter not in have or not fits(have[letter]):
                wrong.append("%s -%s: RocketMQ has %s, ours %s" % (command, letter, (long, needed, value), have.get(letter)))
        for letter, (long, needed, value) in have.items():
            if letter not in wanted and needed == "yes":
                wrong.append("%s -%s: ours asks for an option that RocketMQ does not have" % (command, letter))
    return stock, count, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    for name in ("--dir", "--kerolox", "--reference"):
        parser.add_argument(name, required=True)
    parser.add_argument("commands", nargs="*")
    given = parser.parse_args()
    servers = {"kerolox": given.kerolox, "reference": given.reference}
    stock, count, wrong = options(given.dir)
    for line in wrong:
        print("OPTION  " + line)
    results, built, failed = {}, None, 0
    for name in PAIRS:
        pair = Pair(name, servers, given.dir)
        begun = time.monotonic()
        for case in cases.CASES:
            if case.command == cases.TAKING_AWAY and name == "ours:kerolox" and not given.commands:
                built, failed = told(pair)
                failed += bar(pair)
            # What others need runs even when not asked for.
            if given.commands and case.command not in given.commands and not case.needed or case.skip(pair):
                continue
            if pair.stock and case.command not in stock:
                continue
            t0 = time.monotonic()
            why = one(pair, case)
            results.setdefault((case.command, name), []).append(why)
            print("%s  %s %s (%d ms)%s" % ("PASS" if why is None else "FAIL", name, case.command,
                                          (time.monotonic() - t0) * 1000, "" if why is None else " " + why), flush=True)
        pair.close()
        print("== %s: %d s" % (name, time.monotonic() - begun), flush=True)
    failed += sum(1 for whys in results.values() if any(whys))
    if not given.commands:
        missing = [c for c in stock if not any(case.command == c for case in cases.CASES)]
        failed += len(missing)
        for command in missing:
            print("FAIL  no case for " + command)
        failed += page("tried", table(results, stock, count, wrong), given.check) + page("json", built, given.check)
    print("%d passed, %d failed" % (len(results) - failed, failed + len(wrong)))
    sys.exit(1 if failed or wrong else 0)


def table(results, stock, count, wrong):
    commands = list(dict.fromkeys(case.command for case in cases.CASES))
    commands.sort(key=lambda c: list(stock).index(c) if c in stock else len(stock))

    def mark(command, pair):
        whys = results.get((command, pair))
        return "" if whys is None else "yes" if not any(whys) else "**no**"
    lines = ["Of the %d commands and %d options of RocketMQ 4.7.1, %s in ours with the same letter, long name, kind and "
             "need." % (len(stock), count, "all are" if not wrong else "all but %d are" % len(wrong)), "",
             "| command | RocketMQ's tool on Kerolox | ours on RocketMQ | ours on Kerolox | what was looked at |",
             "| --- | --- | --- | --- | --- |"]
    for command in commands:
        looked = "; ".join(dict.fromkeys(case.looked for case in cases.CASES if case.command == command))
        marks = [mark(command, pair) for pair in ("stock:kerolox", "ours:reference", "ours:kerolox")]
        lines.append("| `%s` | %s | %s |" % (command, " | ".join(marks), looked))
    return "\n".join(lines) + "\n"


def page(block, fresh, check):
    """Puts the block into the page; with `check` returns 1 when it is another."""
    begin, end = (mark % block for mark in BLOCK)
    text = open(PAGE).read()
    before, rest = text.split(begin)
    old, after = rest.split(end)
    if check:
        if old != fresh:
            print("FAIL  %s in docs/mqadmin.md is another; run tests/mqadmin/run.sh. It should be:\n%s" % (block, fresh))
        return 0 if old == fresh else 1
    open(PAGE, "w").write(before + begin + fresh + end + after)
    return 0


main()
