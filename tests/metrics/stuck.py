"""stuck.py BROKER_PORT COUNT: sends that many messages that ask to be followed; every one must be taken."""
import sys

import mq

AT_ONCE = 100
conn = mq.Conn(f"127.0.0.1:{sys.argv[1]}")
properties = mq.properties({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
for _ in range(int(sys.argv[2]) // AT_ONCE):
    for _ in range(AT_ONCE):
        conn.post(mq.SEND, mq.send_fields("walk", "orders", 0, properties), b"x")
    for _ in range(AT_ONCE):
        head, _ = conn.take()
        assert head["code"] == 0, head
