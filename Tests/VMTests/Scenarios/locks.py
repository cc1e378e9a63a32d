# SPDX-License-Identifier: Apache-2.0
# One of two guests that lock the same file. Words: in-place, "holder" or "waiter", "flock" or "record". Who did what when
# stands in the file "events", which both append to; "release" and "look" are made by the host.
ROLE, KIND = sys.argv[3], sys.argv[4]


def lock(descriptor, how):
    fcntl.flock(descriptor, how) if KIND == "flock" else fcntl.lockf(descriptor, how, 10, 0)


def note(event):
    descriptor = os.open("events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, event.encode() + b"\n")
    os.close(descriptor)


def holds():
    descriptor = os.open("file", os.O_RDWR)
    lock(descriptor, fcntl.LOCK_EX)
    lock(descriptor, fcntl.LOCK_SH)
    lock(descriptor, fcntl.LOCK_EX)
    note("holder locked")
    wait_until(lambda: os.path.exists("release"), "the host's release", 120)
    note("holder releases")
    lock(descriptor, fcntl.LOCK_UN)
    wait_until(lambda: os.path.exists("waiter locked"), "the waiter's lock", 120)
    fails(errno.EWOULDBLOCK, lock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    write("holder refused", b"")
    lock(descriptor, fcntl.LOCK_EX)
    note("holder locked again")
    os.close(descriptor)


def waits():
    descriptor = os.open("file", os.O_RDWR)
    fails(errno.EWOULDBLOCK, lock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fails(errno.EWOULDBLOCK, lock, descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    if KIND == "record":
        query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 100, 0)
        equal(struct.unpack("hhqqi4x", fcntl.fcntl(descriptor, fcntl.F_GETLK, query))[:4], (fcntl.F_WRLCK, 0, 0, 10))
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)

    def look():
        wait_until(lambda: os.path.exists("look"), "the host's word", 120)
        write("still served", b"")

    join = child(look)
    note("waiter waits")
    lock(descriptor, fcntl.LOCK_EX)
    note("waiter locked")
    write("waiter locked", b"")
    join()
    wait_until(lambda: os.path.exists("holder refused"), "the holder's turn", 120)
    note("waiter releases")
    os.close(descriptor)  # ends the lock


check(holds if ROLE == "holder" else waits)
