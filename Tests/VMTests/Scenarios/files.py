# SPDX-License-Identifier: Apache-2.0
# What programs do with the bytes of files.


@check
def write_and_read():
    data = noise(3_000_001)
    write("file", data)
    equal(hashlib.sha256(read("file")).hexdigest(), hashlib.sha256(data).hexdigest(), "the sum")
    with open("file", "r+b", buffering=0) as file:
        equal(os.pwrite(file.fileno(), b"middle", 1_000_000), 6)
        equal(os.pread(file.fileno(), 8, 999_999), data[999_999:1_000_000] + b"middle" + data[1_000_006:1_000_007])
        equal(os.pread(file.fileno(), 10, 3_000_001), b"", "a read at the end")
        equal(os.pwritev(file.fileno(), [b"ab", b"", b"cd"], 5), 4)
        equal(os.pread(file.fileno(), 4, 5), b"abcd")
    equal(os.stat("file").st_size, 3_000_001)


@check
def append():
    with open("file", "ab", buffering=0) as one, open("file", "ab", buffering=0) as two:
        for number in range(50):
            one.write(b"1%04d\n" % number)
            two.write(b"2%04d\n" % number)
    lines = read("file").split()
    equal(len(lines), 100)
    equal(sorted(lines), sorted(b"%d%04d" % (who, number) for who in (1, 2) for number in range(50)))


@check
def truncate():
    write("file", b"x" * 10_000)
    os.truncate("file", 5_000)
    os.truncate("file", 9_000)
    equal(read("file"), b"x" * 5_000 + b"\0" * 4_000)
    os.close(os.open("file", os.O_WRONLY | os.O_TRUNC))
    equal(os.stat("file").st_size, 0)
    descriptor = os.open("file", os.O_RDWR)
    os.ftruncate(descriptor, 3)
    equal(os.fstat(descriptor).st_size, 3)
    os.close(descriptor)
    fails(errno.EINVAL, os.truncate, "file", -1)


@check
def open_flags():
    fails(errno.ENOENT, os.open, "none", os.O_RDONLY)
    os.close(os.open("file", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    fails(errno.EEXIST, os.open, "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    fails(errno.ENOTDIR, os.open, "file", os.O_RDONLY | os.O_DIRECTORY)
    fails(errno.ENOTDIR, os.stat, "file/below")
    os.mkdir("directory")
    fails(errno.EISDIR, os.open, "directory", os.O_WRONLY)
    os.symlink("file", "link")
    fails(errno.ELOOP, os.open, "link", os.O_RDONLY | os.O_NOFOLLOW)
    os.symlink("loop", "loop")
    fails(errno.ELOOP, os.open, "loop", os.O_RDONLY)
    os.close(os.open("link", os.O_RDONLY | os.O_SYNC))
    reader = os.open("file", os.O_RDONLY)
    fails(errno.EBADF, os.write, reader, b"x")
    os.close(reader)


@check
def shared_mapping():
    write("file", b"\0" * 100_000)
    with open("file", "r+b", buffering=0) as file:
        if "no-mapping" in sys.argv:
            fails(errno.ENODEV, mmap.mmap, file.fileno(), 100_000)
            return
        with mmap.mmap(file.fileno(), 100_000) as first, mmap.mmap(file.fileno(), 100_000) as second:
            first[50_000:50_005] = b"hello"
            equal(second[50_000:50_005], b"hello")
            os.pwrite(file.fileno(), b"world", 60_000)
            equal(first[60_000:60_005], b"world", "what write(2) put below a mapping")
            first.flush()
    data = read("file")
    equal((data[50_000:50_005], data[60_000:60_005], data.count(0)), (b"hello", b"world", 99_990))


@check
def private_mapping():
    write("file", b"original" * 1000)
    with open("file", "r+b") as file, mmap.mmap(file.fileno(), 8000, flags=mmap.MAP_PRIVATE) as mapping:
        mapping[:8] = b"changed!"
        equal(mapping[:16], b"changed!original")
    equal(read("file")[:8], b"original")


@check
def unlinked_but_open():
    descriptor = os.open("file", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(descriptor, b"before")
    os.unlink("file")
    fails(errno.ENOENT, os.stat, "file")
    equal(os.pread(descriptor, 6, 0), b"before")
    os.pwrite(descriptor, b"after", 6)
    os.ftruncate(descriptor, 9)
    os.fchmod(descriptor, 0o600)
    status = os.fstat(descriptor)
    equal((status.st_size, status.st_nlink, status.st_mode & 0o7777), (9, 0, 0o600))
    equal(os.pread(descriptor, 20, 0), b"beforeaft")
    os.close(descriptor)


@check
def renamed_over_while_open():
    write("old", b"old")
    write("new", b"new")
    descriptor = os.open("old", os.O_RDONLY)
    os.rename("new", "old")
    equal((os.read(descriptor, 9), read("old")), (b"old", b"new"))
    os.close(descriptor)


@check
def temporary_file():
    descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(descriptor, b"unnamed")
    equal((os.listdir("."), os.fstat(descriptor).st_nlink), ([], 0))
    os.fsync(descriptor)  # or Linux 6.1 with --writeback sends the data after the time, which it then no longer is
    call("linkat", AT_FDCWD, b"/proc/self/fd/%d" % descriptor, AT_FDCWD, b"named", AT_SYMLINK_FOLLOW)
    os.close(descriptor)
    status = os.stat("named")
    equal((read("named"), status.st_mode & 0o7777, status.st_nlink), (b"unnamed", 0o640, 1))
    exclusive = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    os.write(exclusive, b"gone")
    os.close(exclusive)
    equal(os.listdir("."), ["named"])


@check
def sparse_five_gibibytes():
    end = 5 << 30
    with open("file", "w+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"start", 0)
        os.pwrite(file.fileno(), b"end", end - 3)
        equal(os.fstat(file.fileno()).st_size, end)
        equal(os.pread(file.fileno(), 5, end - 3), b"end")
        equal(os.pread(file.fileno(), 4, 3 << 30), b"\0" * 4)
        os.fsync(file.fileno())  # the host knows nothing of what a guest with --writeback still keeps
        equal(os.lseek(file.fileno(), 0, os.SEEK_DATA), 0)
        hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
        data = os.lseek(file.fileno(), hole, os.SEEK_DATA)
        if not 5 <= hole < 1 << 20 or not end - (1 << 20) < data < end:
            raise AssertionError(f"the hole is {hole}..<{data}")
        equal(os.lseek(file.fileno(), data, os.SEEK_HOLE), end)
        fails(errno.ENXIO, os.lseek, file.fileno(), end, os.SEEK_DATA)
        if os.fstat(file.fileno()).st_blocks > 4096:
            raise AssertionError(f"{os.fstat(file.fileno()).st_blocks} blocks")


def fallocate(descriptor, mode, offset, length):
    call("fallocate", descriptor, mode, offset, length)


@check
def allocation():
    keep, punch, collapse, zero = 1, 2, 8, 16
    write("file", b"x" * 65536)
    with open("file", "r+b", buffering=0) as file:
        number = file.fileno()
        fallocate(number, 0, 0, 131072)
        equal(os.fstat(number).st_size, 131072)
        fallocate(number, keep, 131072, 65536)
        equal(os.fstat(number).st_size, 131072, "the size after KEEP_SIZE")
        fallocate(number, punch | keep, 4096, 8192)
        equal(os.pread(number, 16384, 0), b"x" * 4096 + b"\0" * 8192 + b"x" * 4096, "what was punched")
        fallocate(number, zero, 20000, 100)
        equal(os.pread(number, 102, 19999), b"x" + b"\0" * 100 + b"x", "what was zeroed")
        fallocate(number, zero | keep, 131072, 4096)
        equal(os.fstat(number).st_size, 131072)
        if "local" not in sys.argv:  # FUSE has no word for it
            fails(errno.EOPNOTSUPP, fallocate, number, collapse, 0, 4096)
        fails(errno.EINVAL, fallocate, number, 0, 0, 0)
    with open("file", "rb") as file:
        fails(errno.EBADF, fallocate, file.fileno(), 0, 0, 10)


@check
def copy_file_range():
    data = noise(300_000)
    write("source", data)
    with open("source", "rb", buffering=0) as source, open("target", "wb", buffering=0) as target:
        done = 0
        while done < 200_000:
            done += os.copy_file_range(source.fileno(), target.fileno(), 200_000 - done, 50_000 + done, done)
    equal(read("target"), data[50_000:250_000])


@check
def synchronisation():
    directory = os.open(".", os.O_RDONLY)
    descriptor = os.open("file", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(descriptor, b"data")
    os.fsync(descriptor)
    os.fdatasync(descriptor)
    os.fsync(directory)
    call("syncfs", directory)
    os.close(descriptor)
    os.close(directory)


@check
def direct_io():
    try:
        descriptor = os.open("file", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    except OSError as error:
        equal(error.errno, errno.EINVAL)
        return
    page = mmap.mmap(-1, 65536)
    page.write(noise(65536))
    equal(os.pwritev(descriptor, [page], 4096), 65536)
    back = mmap.mmap(-1, 65536)
    equal(os.preadv(descriptor, [back], 4096), 65536)
    equal(back[:], page[:])
    os.close(descriptor)
    equal(read("file")[4096:], page[:])


@check
def many_open_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
    files = [os.open(f"file{number}", os.O_RDWR | os.O_CREAT, 0o644) for number in range(400)]
    for number, descriptor in enumerate(files):
        os.write(descriptor, b"%d" % number)
    for number, descriptor in enumerate(files):
        equal(os.pread(descriptor, 9, 0), b"%d" % number)
        os.close(descriptor)


@check
def parallel_jobs():
    def job(number):
        data = noise(200_000, seed=number)
        for turn in range(8):
            write(f"{number}.{turn}", data)
            os.rename(f"{number}.{turn}", f"done.{number}.{turn}")
            equal(read(f"done.{number}.{turn}") == data, True, "that the data came back")
            if turn % 2:
                os.unlink(f"done.{number}.{turn}")

    jobs = [child(job, number) for number in range(6)]
    for join in jobs:
        join()
    equal(len(os.listdir(".")), 24)


@check
def program_from_the_share():
    write("program", b"#!/bin/sh\necho run $1\n", 0o755)
    equal(shell("./program me"), "run me\n")
    shell("cp /bin/true true && ./true")
    descriptor = os.open("program", os.O_RDONLY)
    os.close(descriptor)


@check
def host_errors():
    """A limit of the host's file system reaches the guest as its errno."""
    write("file", b"x")
    fails(errno.EFBIG, os.truncate, "file", (1 << 63) - 1)
