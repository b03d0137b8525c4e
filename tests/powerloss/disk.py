"""Folders that can lose their power: what was not synced is gone afterwards, or a part of it.

`ShadowDisk` works anywhere: shim.c keeps beside the folder what is durable, and stricter than most file systems, for a name
needs the sync of its folder. `LoopDisk` is a file system of the running kernel on a loop device (root is needed), which is
told to stop without writing anything back.
"""
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess

PAGE, SECTOR = 4096, 512
AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_INO_BTIME = -100, 0x100, 0x900
KINDS = ("files", "dirs", "lost", "lostmap")
LIBC = ctypes.CDLL(None, use_errno=True)


class ShadowDisk:
    """The folder `path`; everything in it is durable at first. Processes that use it need `environment()`."""

    def __init__(self, path, shim):
        self.path, self.shadow, self.shim = path, path + ".shadow", shim
        os.makedirs(path)
        for kind in KINDS:
            os.makedirs(os.path.join(self.shadow, kind))
        self.settle()

    def environment(self):
        return {"POWERLOSS_DIR": self.path, "POWERLOSS_SHADOW": self.shadow, "LD_PRELOAD": self.shim}

    def fail_next_sync(self, part_of_path):
        """The next sync of a file whose path contains this fails, and what it should have written is lost."""
        name = os.path.join(self.shadow, "fail")
        with open(name + ".new", "w", encoding="utf-8") as f:
            f.write(part_of_path)
        os.rename(name + ".new", name)

    def sync_failed(self):
        """Whether the sync that was to fail has failed; afterwards none is waiting to."""
        try:
            os.unlink(os.path.join(self.shadow, "fail"))
            return False
        except FileNotFoundError:
            return True

    def lose_power(self, rng=None):
        """Makes the folder what is durable of it; with `rng` some of what is not survives as well, torn at sectors."""
        fresh = self.path + ".new"
        os.mkdir(fresh)
        self._restore(identity_of(self.path), self.path, fresh, rng)
        shutil.rmtree(self.path)
        os.rename(fresh, self.path)
        for kind in KINDS:
            shutil.rmtree(os.path.join(self.shadow, kind))
            os.mkdir(os.path.join(self.shadow, kind))
        self.settle()

    def settle(self):
        """Takes everything that is there for durable."""
        for folder, dirs, files in os.walk(self.path):
            lines = ["d %s 0 %s\n" % (identity_of(os.path.join(folder, d)), d) for d in dirs]
            for name in files:
                full = os.path.join(folder, name)
                lines.append("f %s %d %s\n" % (identity_of(full), os.path.getsize(full), name))
                write_sparse(self._in_shadow("files", identity_of(full)), read(full))
            with open(self._in_shadow("dirs", identity_of(folder)), "w", encoding="utf-8") as f:
                f.writelines(lines)

    def close(self):
        """There is nothing to undo."""

    def _in_shadow(self, kind, identity):
        return os.path.join(self.shadow, kind, identity)

    def _restore(self, identity, live, fresh, rng):
        for name, (kind, child, length) in self._names(identity, live, rng).items():
            before, after = os.path.join(live, name), os.path.join(fresh, name)
            if kind == "d":
                os.mkdir(after)
                self._restore(child, before, after, rng)
            else:
                write_sparse(after, self._bytes(child, length, live, rng))

    def _names(self, identity, live, rng):
        """{name: (kind, id, length)} that the folder has afterwards."""
        durable, now = self._listed(identity), self._present(live, identity)
        if rng is None:
            return durable
        chosen = {}
        for name in sorted(durable.keys() | now.keys()):
            entry = rng.choice((durable, now)).get(name)
            if entry:
                chosen[name] = entry
        # A rename is one step: the file is under its old name or its new one.
        known, kept = {e[1] for e in durable.values()}, {e[1] for e in chosen.values()}
        for name, entry in sorted(now.items()):
            if entry[1] in known - kept:
                chosen[name] = entry
        return chosen

    def _listed(self, identity):
        try:
            with open(self._in_shadow("dirs", identity), encoding="utf-8") as f:
                lines = (line.rstrip("\n").split(" ", 3) for line in f)
                return {name: (kind, child, int(length)) for kind, child, length, name in lines}
        except FileNotFoundError:
            return {}

    def _present(self, live, identity):
        if not os.path.isdir(live) or identity_of(live) != identity:
            return {}
        return {e.name: ("d" if e.is_dir() else "f", identity_of(e.path), 0) for e in os.scandir(live)}

    def _bytes(self, identity, length, live, rng):
        try:
            durable = read(self._in_shadow("files", identity))
        except FileNotFoundError:
            durable = bytes(length if rng is None else rng.choice((0, length)))
        if rng is None:
            return durable
        for entry in os.scandir(live) if os.path.isdir(live) else ():
            if identity_of(entry.path) == identity:
                return mix(durable, read(entry.path), self._lost(identity), rng)
        return durable

    def _lost(self, identity):
        try:
            return read(self._in_shadow("lostmap", identity))
        except FileNotFoundError:
            return b""


def identity_of(path):
    """Inode and time of birth, as in shim.c; os.stat does not know the latter."""
    out = ctypes.create_string_buffer(256)
    if LIBC.statx(AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW, STATX_INO_BTIME, out):
        raise OSError(ctypes.get_errno(), "statx", path)
    inode, = struct.unpack_from("Q", out, 32)
    seconds, nanoseconds = struct.unpack_from("qI", out, 80)
    return "%x-%x.%x" % (inode, seconds, nanoseconds)


def mix(durable, now, lost, rng):
    """The file as it may be after a power loss: its length is the old or the new one, each page that changed is old, new or
    torn at a sector; pages that a failed sync lost stay old."""
    share = rng.random()
    length = len(rng.choice((durable, now)))
    out = bytearray(durable.ljust(length, b"\0")[:length])
    for at in range(0, min(length, len(now)), PAGE):
        new = now[at:min(at + PAGE, length)]
        if new == out[at:at + len(new)] or lost[at // PAGE:at // PAGE + 1] == b"\1" or rng.random() > share:
            continue
        cut = len(new) if rng.random() < 0.8 else rng.randrange(PAGE // SECTOR) * SECTOR
        out[at:at + cut] = new[:cut]
    return bytes(out)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write_sparse(path, data):
    with open(path, "wb") as f:
        f.truncate(len(data))
        for at in range(0, len(data), PAGE):
            page = data[at:at + PAGE]
            if page.strip(b"\0"):
                f.seek(at)
                f.write(page)


class LoopDisk:
    """The folder `path` is a file system of its own, made by mkfs.`kind`, on a loop device."""
    GOING_DOWN, WITHOUT_LOG = 0x8004587d, 2     # _IOR('X', 125, __u32): ext4, xfs and others

    def __init__(self, path, kind, size="2G"):
        self.path, self.image = path, path + ".image"
        os.makedirs(path)
        subprocess.run(["truncate", "-s", size, self.image], check=True)
        subprocess.run(["mkfs." + kind, "-q", self.image], check=True)
        self._mount()

    def environment(self):
        return {}

    def _mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)

    def settle(self):
        """Takes everything that is there for durable."""
        subprocess.run(["sync", "-f", self.path], check=True)

    def lose_power(self, rng=None):
        """What the kernel wrote back by itself survives; `rng` has no say."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, self.GOING_DOWN, struct.pack("I", self.WITHOUT_LOG))
        finally:
            os.close(folder)
        subprocess.run(["umount", self.path], check=True)
        self._mount()

    def close(self):
        subprocess.run(["umount", self.path], check=True)
        os.unlink(self.image)
