"""collector.py PORT DIR: takes what is exported over OTLP/HTTP and keeps each message as it came, DIR/NUMBER.SIGNAL.

As long as DIR/stuck exists it answers nobody, as a collector does that has no memory left.
"""
import http.server
import itertools
import os
import sys
import time

folder = sys.argv[2]
numbers = itertools.count(1)


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if os.path.exists(f"{folder}/stuck"):
            time.sleep(30)
            return
        signal = self.path.removeprefix("/v1/")
        fits = signal in ("metrics", "traces") and self.headers["Content-Type"] == "application/x-protobuf"
        if fits and self.headers["X-Tenant"] == "seven eight":
            path = f"{folder}/{next(numbers):06}.{signal}"
            with open(f"{path}.part", "wb") as file:
                file.write(body)
            os.rename(f"{path}.part", path)
        self.send_response(200 if fits else 400)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector)
server.daemon_threads = True
print("ready", flush=True)
server.serve_forever()
