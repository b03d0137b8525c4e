#!/usr/bin/env python3
"""A recording TCP proxy for the remoting protocol; loopback only, standard library only.

    record.py --out FILE --label-file FILE [--replace OLD=NEW ...] NAME:LISTEN_PORT=TARGET_PORT ...

Forwards whole frames between whoever connects to LISTEN_PORT and 127.0.0.1:TARGET_PORT, and appends one JSON object a
frame to FILE: link NAME, connection number, direction (`in` to the server, `out` of it), the label that stood in the label
file when the connection was opened, the frame (without its length word) in hex.

A server announces its own address, so its clients would go round the proxy. `--replace` rewrites, in what is forwarded and
not in what is recorded, one text by another of the same length (an address, or its form in a message id).
Ends on SIGTERM.
"""
import argparse
import asyncio
import json
import signal
import sys

FRAME_MAX = 16 << 20


class Recorder:
    def __init__(self, args):
        self.out = open(args.out, "a", encoding="ascii")
        self.label_file = args.label_file
        self.swaps = []
        for r in args.replace:
            old, new = r.split("=", 1)
            if len(old) != len(new):
                raise SystemExit("--replace %s: both sides need the same length" % r)
            self.swaps.append((old.encode(), new.encode()))
        self.connections = 0

    def label(self):
        try:
            with open(self.label_file, encoding="utf-8") as f:
                return f.read().strip()
        except OSError:
            return ""

    def write(self, link, conn, label, way, frame):
        self.out.write(json.dumps({"link": link, "conn": conn, "label": label, "dir": way, "hex": frame.hex()}) + "\n")

    async def pump(self, reader, writer, link, conn, label, way):
        try:
            while True:
                head = await reader.readexactly(4)
                size = int.from_bytes(head, "big")
                if not 4 <= size <= FRAME_MAX:
                    print("record: %s %d %s: bad length %d" % (link, conn, way, size), file=sys.stderr)
                    return
                frame = await reader.readexactly(size)
                self.write(link, conn, label, way, frame)
                for old, new in self.swaps:
                    frame = frame.replace(old, new)
                writer.write(head + frame)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.out.flush()
            writer.close()

    def serve(self, link, target):
        async def accepted(reader, writer):
            self.connections += 1
            conn, label = self.connections, self.label()
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(self.pump(reader, far_writer, link, conn, label, "in"),
                                 self.pump(far_reader, writer, link, conn, label, "out"))
        return accepted


async def main(args):
    rec = Recorder(args)
    servers = []
    for spec in args.links:
        name, ports = spec.split(":", 1)
        listen, target = (int(p) for p in ports.split("=", 1))
        servers.append(await asyncio.start_server(rec.serve(name, target), "127.0.0.1", listen, limit=1 << 20))
    print("recording", flush=True)
    stop = asyncio.Event()
    for s in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(s, stop.set)
    await stop.wait()
    for s in servers:
        s.close()
    rec.out.flush()


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", required=True)
    p.add_argument("--label-file", required=True)
    p.add_argument("--replace", action="append", default=[])
    p.add_argument("links", nargs="+")
    asyncio.run(main(p.parse_args()))
