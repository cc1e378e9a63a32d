# SPDX-License-Identifier: Apache-2.0
"""The file system device on the guest's bus. Without an argument: its regions. With a number of turns and a mark: how long the
host's stores take to be seen through them, and ours by the host (Support/VisibilityPartner.swift), beside requests to the daemon."""
import ctypes
import glob
import mmap
import os
import struct
import sys
import time


def device():
    for path in sorted(glob.glob("/sys/bus/pci/devices/*")):
        words = [open(f"{path}/{name}").read().strip() for name in ("vendor", "device")]
        # The Debian tree comes over another such device, without regions.
        if words == ["0x1af4", "0x105a"] and os.path.exists(f"{path}/resource2"):
            return path
    sys.exit("no file system device with regions on the bus")


def regions(path):
    """The shared memory capabilities: id, BAR, offset, length."""
    config = open(f"{path}/config", "rb").read()
    place = config[0x34]
    while place:
        kind, following, size, what, bar, number = struct.unpack_from("6B", config, place)
        if kind == 9 and what == 8:
            low = struct.unpack_from("<II", config, place + 8)
            high = struct.unpack_from("<II", config, place + 16)
            yield number, bar, low[0] | high[0] << 32, low[1] | high[1] << 32
        place = following


path = device()
found = {number: rest for number, *rest in regions(path)}
if len(sys.argv) == 1:
    for bar in (2, 4):
        print(f"BAR {bar}: {os.path.getsize(f'{path}/resource{bar}')}")
    for number, (bar, offset, length) in sorted(found.items()):
        print(f"region {number}: BAR {bar} offset {offset} length {length}")
    sys.exit()

turns, mark = int(sys.argv[1]), int(sys.argv[2])
table, journal = found[1], found[2]
file = os.open(f"{path}/resource2", os.O_RDONLY)
memory = mmap.mmap(file, table[2] + journal[2], mmap.MAP_SHARED, mmap.PROT_READ)
view = memoryview(memory).cast("Q")
last, first = table[2] // 8 - 1, journal[1] // 8
echo = os.open("/mnt/regions/echo", os.O_WRONLY)
# Where the host looks for answers by memory.
page = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
page[1] = mark
page[0] = turns


def watch(turn):
    """Waits for a number. The journal has it already, as the host stores it there first."""
    while (seen := view[last]) != turn:
        if seen != turn - 1:
            sys.exit(f"{seen} came after {turn - 1}")
    if view[first] != turn:
        sys.exit(f"the journal has {view[first]} when the version table has {turn}")


def middle(times):
    return 1e6 * sorted(times)[len(times) // 2]


clock = time.perf_counter
watch(1)
writes, rounds = [], []
for turn in range(1, turns):
    began = clock()
    os.pwrite(echo, struct.pack("<Q", turn), 0)
    written = clock()
    watch(turn + 1)
    rounds.append(clock() - began)
    writes.append(written - began)
os.pwrite(echo, struct.pack("<Q", turns), 0)
for turn in range(turns + 1, 2 * turns + 1):
    watch(turn)
    page[0] = turn

loads, nothings = [], []
for _ in range(20):
    began = clock()
    for _ in range(1000):
        view[last]
    loads.append(clock() - began)
    began = clock()
    for _ in range(1000):
        turn
    nothings.append(clock() - began)
load = (min(loads) - min(nothings)) / 1000

# statx(2) with AT_STATX_FORCE_SYNC asks the daemon each time.
statx = ctypes.CDLL(None, use_errno=True).statx
attributes = ctypes.create_string_buffer(256)
asks = []
for _ in range(turns):
    began = clock()
    if statx(-100, b"/mnt/regions/echo", 0x2000, 0x7FF, attributes) != 0:
        sys.exit(f"statx: {os.strerror(ctypes.get_errno())}")
    asks.append(clock() - began)
print(f"seen {view[first]}")
print(f"a load {1e9 * load:.0f} ns; GETATTR {middle(asks):.0f} us; WRITE {middle(writes):.0f} us, ", end="")
print(f"from its beginning to the host's store in answer {middle(rounds):.0f} us")
