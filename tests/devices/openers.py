"""One node opened twice: how many of the two get the answer to a report of the first.

    openers.py NODE own|shared
"""

import os
import select
import sys

node, ptys = sys.argv[1:]
before = os.readlink(node)
first = os.open(node, os.O_RDWR | os.O_NONBLOCK)
# The bridge gives the next program a pty of its own as soon as it sees that this one is taken.
while ptys == "own" and os.readlink(node) == before:
    os.sched_yield()
second = os.open(node, os.O_RDWR | os.O_NONBLOCK)
# CTAPHID_INIT on the broadcast channel, with a nonce.
nonce = b"a nonce!"
os.write(first, b"\0" + b"\xff" * 4 + b"\x86\x00\x08" + nonce + bytes(64 - 7 - 8))
got = set()
while len(got) < (2 if ptys == "own" else 1):
    for ready in select.select([first, second], [], [])[0]:
        try:
            report = os.read(ready, 64)
        except BlockingIOError:  # the other has had it
            continue
        assert len(report) == 64 and report[7:15] == nonce
        got.add(ready)
assert not select.select([first, second], [], [], 0)[0]
print(len(got))
