"""Time from process start until a route is served and a send accepted, and what the idle process weighs.

start.py BINARY DIR
"""
import json
import socket
import struct
import subprocess
import sys
import time

NAMESRV, BROKER = 24876, 24911
SEND = {'a': 'g', 'b': 'StartTopic', 'c': 'TBW102', 'd': '4', 'e': '0', 'f': '0', 'g': '1', 'h': '0', 'i': ''}


def call(port, code, fields, body=b''):
    with socket.create_connection(('127.0.0.1', port), 1) as s:
        header = json.dumps({'code': code, 'language': 'JAVA', 'version': 355, 'opaque': 1, 'flag': 0, 'extFields': fields}).encode()
        s.sendall(struct.pack('>II', 4 + len(header) + len(body), len(header)) + header + body)
        data = b''
        while len(data) < 8 or len(data) < 4 + struct.unpack('>I', data[:4])[0]:
            data += s.recv(65536)
        size = struct.unpack('>I', data[4:8])[0] & 0xFFFFFF
        return json.loads(data[8:8 + size])['code']


def until(begin, port, code, fields, body=b''):
    while time.monotonic() - begin < 10:
        try:
            if call(port, code, fields, body) == 0:
                return (time.monotonic() - begin) * 1000
        except OSError:
            pass
        time.sleep(0.001)
    raise SystemExit('not ready within 10 s')


def ticks(pid):
    return sum(map(int, open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[11:13]))


def main(binary, folder):
    begin = time.monotonic()
    node = subprocess.Popen(
        [binary, 'standalone', '--data', folder, '--namesrv-port', str(NAMESRV), '--port', str(BROKER)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        route = until(begin, NAMESRV, 105, {'topic': 'TBW102'})
        send = until(begin, BROKER, 310, SEND, b'hello')
        time.sleep(20)
        before = ticks(node.pid)
        time.sleep(20)
        cpu = (ticks(node.pid) - before) / 100 / 20 * 100
        status = dict(line.split(':', 1) for line in open(f'/proc/{node.pid}/status'))
        kib = {key: int(status[key].split()[0]) for key in ('VmRSS', 'RssAnon', 'RssFile')}
        print('| route served, ms | send accepted, ms | idle resident MiB | of it anonymous | idle CPU % |')
        print('| --- | --- | --- | --- | --- |')
        print(f"| {route:.0f} | {send:.0f} | {kib['VmRSS'] / 1024:.1f} | {kib['RssAnon'] / 1024:.1f} | {cpu:.2f} |")
    finally:
        node.terminate()
        node.wait(20)


main(*sys.argv[1:])
