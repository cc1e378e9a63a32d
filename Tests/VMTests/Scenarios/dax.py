# SPDX-License-Identifier: Apache-2.0
# Files through a DAX window of 64 MiB. Words: "always" or "inode", as the share is mounted.
import zlib

PIECE = 2 << 20
ALWAYS = "always" in sys.argv


def pattern(count, seed=1):
    """Bytes that tell their place, fast to make."""
    block = noise(65521, seed)
    return (block * (count // len(block) + 1))[:count]


def is_dax(path):
    """STATX_ATTR_DAX, which the kernel shows for files that it maps."""
    buffer = ctypes.create_string_buffer(256)
    call("syscall", 332, AT_FDCWD, path.encode(), 0, 0x7FF, buffer)
    return bool(struct.unpack_from("<Q", buffer, 8)[0] & 0x200000)


def forget():
    """Has the kernel forget all files, so that the daemon says anew which are to be mapped."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def known(name, data):
    """A file that the guest knows as it is, and whose attributes it has got after it had its size."""
    write(name, data)
    forget()
    return name


def cached():
    """The page cache of the guest, in bytes."""
    for line in open("/proc/meminfo"):
        if line.startswith("Cached:"):
            return int(line.split()[1]) * 1024


@check
def sizes():
    for size in (1, 4095, 4097, PIECE - 1, PIECE, PIECE + 1, 12 * (1 << 20) + 7):
        data = pattern(size, size)
        name = known(f"f{size}", data)
        equal(is_dax(name), True, f"STATX_ATTR_DAX of {size} bytes")
        equal(zlib.crc32(read(name)), zlib.crc32(data), f"the sum of {size} bytes")
        with open(name, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            equal(zlib.crc32(view), zlib.crc32(data), f"the sum of {size} mapped bytes")
        os.unlink(name)


@check
def larger_than_the_window():
    """Made by the host: 300 MiB. With dax=inode the daemon maps no file that does not fit."""
    equal(is_dax("../../large"), ALWAYS)
    if not ALWAYS:
        return
    total, before = hashlib.md5(), cached()
    with open("../../large", "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            total.update(block)
    equal(total.hexdigest(), read("../../large.md5").decode().split()[0], "the sum")
    equal(cached() - before < 30 << 20, True, f"{(cached() - before) >> 20} MiB more in the page cache")


@check
def writing():
    data = bytearray(pattern(3 * PIECE + 100))
    name = known("file", data)
    with open(name, "r+b", buffering=0) as file:
        for offset in (0, 4095, PIECE - 3, 2 * PIECE, 3 * PIECE + 94):
            equal(os.pwrite(file.fileno(), b"inside", offset), 6)
            data[offset:offset + 6] = b"inside"
        # Over the end, and behind it.
        for offset in (3 * PIECE + 97, 5 * PIECE + 1):
            equal(os.pwrite(file.fileno(), b"longer", offset), 6)
            data.extend(bytes(max(0, offset + 6 - len(data))))
            data[offset:offset + 6] = b"longer"
        os.fsync(file.fileno())
    with open(name, "ab", buffering=0) as file:
        for number in range(20):
            file.write(b"line %3d\n" % number)
            data += b"line %3d\n" % number
    equal(os.stat(name).st_size, len(data))
    equal(zlib.crc32(read(name)), zlib.crc32(data), "the sum")
    forget()
    equal(zlib.crc32(read(name)), zlib.crc32(data), "the sum later")


@check
def mapping():
    data = bytearray(pattern(2 * PIECE + 5000))
    name = known("file", data)
    with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        for offset in (0, 4096, PIECE - 2, 2 * PIECE + 4990):
            view[offset:offset + 4] = b"mmap"
            data[offset:offset + 4] = b"mmap"
            equal(os.pread(file.fileno(), 4, offset), b"mmap")
            os.pwrite(file.fileno(), b"file", offset + 4)
            data[offset + 4:offset + 8] = b"file"
            equal(view[offset + 4:offset + 8], b"file")
        view.flush()
        os.fsync(file.fileno())
    equal(zlib.crc32(read(name)), zlib.crc32(data), "the sum")


@check
def truncating():
    data = pattern(3 * PIECE)
    name = known("file", data)
    with open(name, "r+b", buffering=0) as file:
        equal(zlib.crc32(file.read()), zlib.crc32(data))
        os.ftruncate(file.fileno(), 10_001)
        equal(os.pread(file.fileno(), 20_000, 0), data[:10_001])
        os.ftruncate(file.fileno(), 4 * PIECE)
        equal(zlib.crc32(read(name)), zlib.crc32(data[:10_001] + bytes(4 * PIECE - 10_001)), "the sum of zeros")
        os.pwrite(file.fileno(), b"x", 3 * PIECE)
        equal(os.pread(file.fileno(), 3, 3 * PIECE - 1), b"\0x\0")
        os.ftruncate(file.fileno(), 0)
        equal(os.pread(file.fileno(), 10, 0), b"")
        os.pwrite(file.fileno(), b"again", 0)
    equal(read(name), b"again")


@check
def punching():
    data = bytearray(pattern(PIECE))
    name = known("file", data)
    with open(name, "r+b", buffering=0) as file:
        file.read()
        call("fallocate", file.fileno(), 3, 5000, 1_000_000)
        data[5000:1_005_000] = bytes(1_000_000)
        equal(zlib.crc32(read(name)), zlib.crc32(data), "the sum")
        os.pwrite(file.fileno(), b"in the hole", 100_000)
        data[100_000:100_011] = b"in the hole"
    equal(zlib.crc32(read(name)), zlib.crc32(data), "the sum")
    equal(os.stat(name).st_size, PIECE)


@check
def renaming_and_removing():
    data = pattern(100_000)
    name = known("file", data)
    with open(name, "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as view:
        equal(view[:10], data[:10])
        os.rename(name, "other")
        os.pwrite(file.fileno(), b"renamed", 0)
        equal(read("other")[:7], b"renamed")
        write(name, b"another file")
        os.unlink("other")
        equal(view[:7], b"renamed")
        view[50_000:50_004] = b"mmap"
        equal(os.pread(file.fileno(), 4, 50_000), b"mmap")
        equal(os.fstat(file.fileno()).st_nlink, 0)
    equal(read(name), b"another file")


@check
def two_processes():
    """One writes through a mapping, the other reads through its own."""
    name = known("file", bytes(PIECE))

    def write_numbers():
        with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            for number in range(1, 200):
                view[8 * number:8 * number + 8] = struct.pack("<Q", number)
            view[0:8] = struct.pack("<Q", 1)

    join = child(write_numbers)
    with open(name, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        wait_until(lambda: view[0:8] != bytes(8), "what the other has written")
        for number in range(1, 200):
            equal(struct.unpack("<Q", view[8 * number:8 * number + 8])[0], number)
    join()


@check
def direct_between_files():
    """The buffer of one file's O_DIRECT read is the mapping of another. With dax=inode a program is not mapped but read."""
    data = pattern(PIECE, 3)
    write("source", data)
    os.chmod("source", 0o755)
    name = known("target", bytes(2 * PIECE))
    equal((is_dax("source"), is_dax(name)), (ALWAYS, True))
    with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        source = os.open("source", os.O_RDONLY | os.O_DIRECT)
        equal(os.preadv(source, [memoryview(view)[PIECE // 2:PIECE // 2 + 65536]], 0), 65536)
        os.close(source)
    equal(zlib.crc32(read(name)), zlib.crc32(bytes(PIECE // 2) + data[:65536] + bytes(2 * PIECE - PIECE // 2 - 65536)), "the sum")


@check
def repeated_reads():
    """A file of 48 MiB again and again: nothing gathers in the guest's page cache. The time is for people."""
    forget()
    equal(is_dax("../../repeated"), True)
    before = cached()
    for turn in range(3):
        start, total = time.monotonic(), hashlib.md5()
        with open("../../repeated", "rb", buffering=0) as file:
            buffer = bytearray(1 << 20)
            while file.readinto(buffer):
                if turn == 0:
                    total.update(buffer)
        if turn == 0:
            equal(total.hexdigest(), read("../../repeated.md5").decode().split()[0], "the sum")
        else:
            print(f"note 48 MiB through the window in {time.monotonic() - start:.3f} s", flush=True)
    equal(cached() - before < 8 << 20, True, f"{(cached() - before) >> 10} KiB more in the page cache")
