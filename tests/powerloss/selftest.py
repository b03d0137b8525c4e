#!/usr/bin/env python3
"""Does the shim lose what a power loss would, and nothing else?    selftest.py SHIM

Each case is a program that writes below a folder, run with the shim; then the power is lost, and what is there is compared.
"""
import os
import random
import subprocess
import sys
import tempfile

import disk

PRELUDE = """
import os
def put(name, data, at=0, sync=True):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(fd, data, at)
    sync and os.fdatasync(fd)
    os.close(fd)
def sync(name):
    fd = os.open(name, os.O_RDONLY)
    try: os.fsync(fd)
    finally: os.close(fd)
def fails(name):
    with open(os.environ["POWERLOSS_SHADOW"] + "/fail", "w") as f: f.write("/" + name)
    try: sync(name)
    except OSError: return
    raise SystemExit("the sync of %s did not fail" % name)
"""
PAGE = disk.PAGE
CASES = {
    "synced file, synced folder": ("put('a', b'1'); sync('.')", {"a": b"1"}),
    "synced file, folder not synced": ("put('a', b'1')", {}),
    "folder synced, file not": ("put('a', b'1', sync=False); sync('.')", {"a": b"\0"}),
    "written after the sync": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False)", {"a": b"1"}),
    "longer after the sync": ("put('a', b'1'); sync('.'); put('a', b'2', 9000, sync=False)", {"a": b"1"}),
    "cut and synced": ("put('a', b'12345'); sync('.'); os.truncate('a', 2); sync('a')", {"a": b"12"}),
    "renamed, folder not synced": ("put('a', b'1'); sync('.'); put('b', b'2'); os.rename('b', 'a')", {"a": b"1"}),
    "renamed, folder synced": ("put('a', b'1'); sync('.'); put('b', b'2'); os.rename('b', 'a'); sync('.')", {"a": b"2"}),
    "removed, folder not synced": ("put('a', b'1'); sync('.'); os.unlink('a')", {"a": b"1"}),
    "removed, folder synced": ("put('a', b'1'); sync('.'); os.unlink('a'); sync('.')", {}),
    "made again with a used inode": ("put('a', b'1'); sync('.'); os.unlink('a'); put('a', b'2', sync=False); sync('.')", {"a": b"\0"}),
    "second name": ("put('a', b'1'); os.link('a', 'b'); sync('.')", {"a": b"1", "b": b"1"}),
    "file in a folder whose name is not synced": ("os.mkdir('d'); put('d/a', b'1'); sync('d')", {}),
    "file in a folder that is not synced": ("os.mkdir('d'); put('d/a', b'1'); sync('.')", {"d": None}),
    "all synced down to the file": ("os.mkdir('d'); put('d/a', b'1'); sync('d'); sync('.')", {"d": None, "d/a": b"1"}),
    "folder made again": ("os.mkdir('d'); put('d/a', b'1'); sync('d'); sync('.'); os.unlink('d/a'); os.rmdir('d'); os.mkdir('d'); sync('.')",
                          {"d": None}),
    "there from the first": ("os.truncate('old', 1)", {"old": b"old"}),
}
FAILED_SYNC = {
    "a later sync passes the lost page over": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False); fails('a'); sync('a')", {"a": b"1"}),
    "another page is synced": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False); fails('a'); put('a', b'3', %d)" % PAGE,
                               {"a": b"1".ljust(PAGE, b"\0") + b"3"}),
    "written again, the same": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False); fails('a'); put('a', b'2')", {"a": b"2"}),
    "read shows it": ("put('a', b'2', sync=False); sync('.'); fails('a'); assert open('a', 'rb').read() == b'2'", {"a": b"\0"}),
    "another process syncs": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False); fails('a')\nif not os.fork(): sync('a'); os._exit(0)\nos.wait()",
                              {"a": b"1"}),
}
# Everything that a torn case may leave.
TORN = {
    "half a rename is not possible": ("put('a', b'1'); put('b', b'2'); sync('.'); os.rename('b', 'a')", [{"a": b"1", "b": b"2"}, {"a": b"2"},
                                      {"a": b"2", "b": b"2"}]),
    "a lost page does not survive": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False); fails('a')", [{"a": b"1"}]),
    "a page is old or new": ("put('a', b'1'); sync('.'); put('a', b'2', sync=False)", [{"a": b"1"}, {"a": b"2"}]),
    "a synced file stays": ("put('a', b'1'); sync('.')", [{"a": b"1"}]),
}


def content(path):
    found = {}
    for folder, dirs, files in os.walk(path):
        at = os.path.relpath(folder, path)
        found.update({os.path.normpath(os.path.join(at, d)): None for d in dirs})
        found.update({os.path.normpath(os.path.join(at, f)): disk.read(os.path.join(folder, f)) for f in files})
    return found


def run(shim, program, rng=None):
    with tempfile.TemporaryDirectory() as scratch:
        d = disk.ShadowDisk(os.path.join(scratch, "disk"), shim)
        if "'old'" in program:
            with open(os.path.join(d.path, "old"), "wb") as f:
                f.write(b"old")
            d.settle()
        subprocess.run([sys.executable, "-c", PRELUDE + program], cwd=d.path, env=dict(os.environ, **d.environment()), check=True)
        d.lose_power(rng)
        return content(d.path)


def main():
    shim, bad = os.path.abspath(sys.argv[1]), 0
    for name, (program, due) in {**CASES, **FAILED_SYNC}.items():
        if (got := run(shim, program)) != due:
            bad += 1
            print("%s: %s is there instead of %s" % (name, got, due))
    for name, (program, possible) in TORN.items():
        seen = [run(shim, program, random.Random(seed)) for seed in range(8)]
        if wrong := [s for s in seen if s not in possible]:
            bad += 1
            print("%s: %s is there" % (name, wrong[0]))
    print("the shim's own test: %d of %d cases" % (len(CASES) + len(FAILED_SYNC) + len(TORN) - bad, len(CASES) + len(FAILED_SYNC) + len(TORN)))
    return 1 if bad else 0


sys.exit(main())
