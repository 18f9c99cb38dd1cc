"""What a program that already runs notices of keys: inotify on /dev by libc, as a line each.

Under umockdev's preload library, whose inotify_add_watch this is. It ends when its stdin does.
"""

import ctypes
import fcntl
import os
import select
import struct

CREATE, DELETE = 0x100, 0x200
HIDIOCGRDESCSIZE = 0x80044801

libc = ctypes.CDLL(None, use_errno=True)
watcher = libc.inotify_init1(0)
assert libc.inotify_add_watch(watcher, b"/dev", CREATE | DELETE) > 0
print("watching", flush=True)
while 0 not in select.select([0, watcher], [], [])[0]:
    data, at = os.read(watcher, 4096), 0
    while at < len(data):
        _, mask, _, size = struct.unpack_from("iIII", data, at)
        name = data[at + 16 : at + 16 + size].rstrip(b"\0").decode()
        at += 16 + size
        if mask & DELETE:
            print("deleted", name, flush=True)
            continue
        # Who looks at once finds all of it: in sysfs, and what the node itself tells.
        there = os.path.exists("/sys/class/hidraw/" + name)
        node = os.open("/dev/" + name, os.O_RDWR)
        size = struct.unpack("i", fcntl.ioctl(node, HIDIOCGRDESCSIZE, bytes(4)))[0]
        os.close(node)
        print("created", name, "listed" if there else "unlisted", size, flush=True)
