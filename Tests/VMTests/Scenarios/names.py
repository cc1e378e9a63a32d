# SPDX-License-Identifier: Apache-2.0
# Names, directories, links, attributes, extended attributes. The word "privileged" says that trusted.* attributes and the flags
# of chattr +i and +a can be set: the daemon has kept CAP_SYS_ADMIN and CAP_LINUX_IMMUTABLE.
PRIVILEGED = "privileged" in sys.argv[2:]
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4


def rename2(old, new, flags):
    call("renameat2", AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)


@check
def odd_names():
    names = [b"n" * 255, b"\xff\xfe not UTF-8 \x80", b" ", b"-", b"...", b"new\nline", "Käse".encode(), b"\\", b"a:b*?"]
    for name in names:
        write(name, name)
        equal(read(name), name)
    equal(sorted(os.listdir(b".")), sorted(names))
    fails(errno.ENAMETOOLONG, os.open, b"n" * 256, os.O_WRONLY | os.O_CREAT)
    fails(errno.ENAMETOOLONG, os.mkdir, b"n" * 256)
    fails(errno.ENAMETOOLONG, os.stat, b"n" * 256)
    os.mkdir(b"d\xff")
    os.rename(names[1], b"d\xff/" + names[1])
    equal(os.listdir(b"d\xff"), [names[1]])


@check
def a_thousand_names():
    for number in range(1000):
        os.close(os.open(f"name{number:04}", os.O_CREAT | os.O_WRONLY, 0o644))
    wanted = [f"name{number:04}" for number in range(1000)]
    equal(sorted(os.listdir(".")), wanted)
    with os.scandir(".") as entries:
        equal(sorted(entry.name for entry in entries if entry.stat().st_size == 0), wanted)
    # Removing while reading loses nothing that stays.
    for entry in os.scandir("."):
        if int(entry.name[4:]) % 2:
            os.unlink(entry.name)
    equal(sorted(os.listdir(".")), wanted[::2])


@check
def seek_in_a_directory():
    for number in range(300):
        os.close(os.open(f"name{number}", os.O_CREAT | os.O_WRONLY, 0o644))
    for function, restype in (("opendir", ctypes.c_void_p), ("readdir", ctypes.c_void_p), ("telldir", ctypes.c_long)):
        getattr(libc, function).restype = restype
    stream = ctypes.c_void_p(libc.opendir(b"."))

    def following():
        entry = libc.readdir(stream)
        return ctypes.string_at(entry + 19) if entry else None

    for _ in range(150):
        following()
    place = libc.telldir(stream)
    rest = []
    while (name := following()) is not None:
        rest.append(name)
    libc.seekdir(stream, ctypes.c_long(place))
    again = []
    while (name := following()) is not None:
        again.append(name)
    equal((len(rest), again), (152, rest))
    libc.closedir(stream)


@check
def directories():
    os.makedirs("a/b/c/d/e/f")
    write("a/b/c/file", b"deep")
    fails(errno.ENOTEMPTY, os.rmdir, "a/b")
    fails(errno.EISDIR, os.unlink, "a")
    fails(errno.EEXIST, os.mkdir, "a")
    fails(errno.ENOTDIR, os.rmdir, "a/b/c/file")
    fails(errno.EINVAL, os.rename, "a", "a/b/inside")
    equal((os.stat("a").st_nlink, os.stat("a/b/c").st_nlink), (3, 3))
    os.rename("a/b/c", "moved")
    equal(read("moved/file"), b"deep")
    equal(os.stat("moved/..").st_ino, os.stat(".").st_ino)
    os.mkdir("empty")
    os.rename("moved/d", "empty")
    equal(os.listdir("empty"), ["e"])
    fails(errno.ENOTEMPTY, os.rename, "a", "empty")
    os.chdir("empty/e")
    shell("rm -r ../../a")
    equal(os.path.basename(os.getcwd()), "e")


@check
def renames():
    write("one", b"1")
    write("two", b"2")
    rename2("one", "two", EXCHANGE)
    equal((read("one"), read("two")), (b"2", b"1"))
    os.mkdir("directory")
    write("directory/inside", b"i")
    rename2("one", "directory", EXCHANGE)
    equal((read("directory"), read("one/inside")), (b"2", b"i"))
    fails(errno.EEXIST, rename2, "directory", "two", NOREPLACE)
    rename2("directory", "three", NOREPLACE)
    equal(read("three"), b"2")
    fails(errno.ENOENT, rename2, "none", "four", 0)
    fails(errno.ENOENT, rename2, "three", "none", EXCHANGE)
    fails(errno.EINVAL, rename2, "three", "two", NOREPLACE | EXCHANGE)
    write("same", b"s")
    os.link("same", "other")
    os.rename("same", "other")
    equal((read("same"), os.stat("other").st_nlink), (b"s", 2))


@check
def whiteout():
    write("lower", b"l")
    rename2("lower", "upper", WHITEOUT)
    status = os.stat("lower")
    equal((stat.S_IFMT(status.st_mode), status.st_rdev, read("upper")), (stat.S_IFCHR, 0, b"l"))


@check
def links():
    write("file", b"content")
    os.link("file", "hard")
    one, other = os.stat("file"), os.stat("hard")
    equal((one.st_ino, one.st_nlink), (other.st_ino, 2))
    os.unlink("file")
    equal((read("hard"), os.stat("hard").st_nlink), (b"content", 1))
    for target in (b"hard", b"x" * 4000, b"../\xff", b"/etc/passwd"):
        os.symlink(target, b"soft")
        equal((os.readlink(b"soft"), os.lstat(b"soft").st_size), (target, len(target)))
        os.unlink(b"soft")
    os.symlink("hard", "soft")
    os.link("soft", "soft2", follow_symlinks=False)
    equal((os.readlink("soft2"), os.lstat("soft").st_nlink, read("soft2")), ("hard", 2, b"content"))
    os.lchown("soft", 5, 6)
    equal((os.lstat("soft").st_uid, os.stat("soft").st_uid), (5, 0))
    fails(errno.EEXIST, os.symlink, "hard", "soft")
    fails(errno.EEXIST, os.link, "hard", "soft")
    fails(errno.EPERM, os.link, ".", "directory")
    fails(errno.EINVAL, os.readlink, "hard")


@check
def special_files():
    os.mkfifo("fifo", 0o600)
    join = child(lambda: write("fifo", b"through the pipe"))
    equal(read("fifo"), b"through the pipe")
    join()
    os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod("block", 0o600 | stat.S_IFBLK, os.makedev(250, 7))
    os.mknod("regular", 0o600 | stat.S_IFREG)
    equal((os.stat("null").st_rdev, os.stat("block").st_rdev), (os.makedev(1, 3), os.makedev(250, 7)))
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        client.connect("socket")
        peer = server.accept()[0]
        client.send(b"hello")
        equal(peer.recv(9), b"hello")
        peer.close()
    equal([stat.S_IFMT(os.stat(name).st_mode) for name in ("fifo", "null", "block", "regular", "socket")],
          [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFREG, stat.S_IFSOCK])


@check
def times():
    write("file", b"x")
    os.utime("file", ns=(1_234_567_890_123_456_789, 987_654_321_987_654_321))
    status = os.stat("file")
    equal((status.st_atime_ns, status.st_mtime_ns), (1_234_567_890_123_456_789, 987_654_321_987_654_321))
    omit = (1 << 30) - 2
    times = struct.pack("<qqqq", 0, omit, 5, 6)
    call("utimensat", AT_FDCWD, b"file", times, 0)
    status = os.stat("file")
    equal((status.st_atime_ns, status.st_mtime_ns), (1_234_567_890_123_456_789, 5_000_000_006))
    before = os.stat("file").st_ctime_ns
    os.chmod("file", 0o600)
    wait_until(lambda: os.stat("file").st_ctime_ns > before or os.chmod("file", 0o600), "a newer ctime")
    os.utime("file", ns=(-1_500_000_000, -5_000_000_000))
    equal(os.stat("file").st_mtime_ns, -5_000_000_000)
    os.symlink("file", "link")
    os.utime("link", ns=(7, 8), follow_symlinks=False)
    equal((os.lstat("link").st_mtime_ns, os.stat("file").st_mtime_ns), (8, -5_000_000_000))
    directory = os.stat(".").st_mtime_ns
    write("another", b"")
    wait_until(lambda: os.stat(".").st_mtime_ns > directory, "a newer mtime of the directory", 5)


@check
def births():
    """statx(2) asks with an opcode that Linux has since 6.6."""
    before = time.time_ns()
    write("file", b"x")
    born = birth_time("file")
    if kernel >= (6, 6):
        if born is None or abs(born - before) > 3600 * 10**9:
            raise AssertionError(f"born at {born}, while the guest's clock says {before}")
        os.utime("file", ns=(1, 1))
        equal(birth_time("file"), born)


@check
def modes():
    write("file", b"x")
    for mode in (0o4755, 0o2755, 0o1644, 0o000, 0o7777, 0o640):
        os.chmod("file", mode)
        equal(os.stat("file").st_mode & 0o7777, mode)
    os.chown("file", 12345, 54321)
    os.chown("file", -1, 7)
    equal((os.stat("file").st_uid, os.stat("file").st_gid), (12345, 7))
    os.umask(0o027)
    os.mkdir("directory", 0o777)
    write("masked", b"", 0o666)
    os.mknod("node", 0o666)
    equal([os.stat(name).st_mode & 0o7777 for name in ("directory", "masked", "node")], [0o750, 0o640, 0o640])
    os.umask(0o022)
    fails(errno.ENOENT, os.chmod, "none", 0o600)


@check
def extended_attributes():
    write("file", b"x")
    os.setxattr("file", "user.one", b"1")
    os.setxattr("file", "user.empty", b"")
    if PRIVILEGED:
        os.setxattr("file", "trusted.two", b"\0\xff")
        equal(os.getxattr("file", "trusted.two"), b"\0\xff")
    else:
        fails(errno.EPERM, os.setxattr, "file", "trusted.two", b"2")
        fails(errno.ENODATA, os.getxattr, "file", "trusted.two")
    equal(sorted(attributes("file")), ["user.empty", "user.one"])
    equal([os.getxattr("file", name) for name in ("user.one", "user.empty")], [b"1", b""])
    fails(errno.EEXIST, os.setxattr, "file", "user.one", b"2", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, "file", "user.none", b"2", os.XATTR_REPLACE)
    os.setxattr("file", "user.one", b"replaced", os.XATTR_REPLACE)
    equal(os.getxattr("file", "user.one"), b"replaced")
    small = ctypes.create_string_buffer(3)
    fails(errno.ERANGE, call, "getxattr", b"file", b"user.one", small, 3)
    fails(errno.ERANGE, call, "listxattr", b"file", small, 3)
    equal(call("getxattr", b"file", b"user.one", None, 0), 8)
    listed = sum(len(name) + 1 for name in os.listxattr("file"))
    equal((call("listxattr", b"file", None, 0), listed in (20, 32)), (listed, True))
    os.setxattr("file", "user.big", b"v" * 3000)
    equal(os.getxattr("file", "user.big"), b"v" * 3000)
    os.removexattr("file", "user.big")
    fails(errno.ENODATA, os.getxattr, "file", "user.big")
    fails(errno.ENODATA, os.removexattr, "file", "user.big")
    os.mkdir("directory")
    os.setxattr("directory", "user.d", b"d")
    os.symlink("file", "link")
    if PRIVILEGED:
        os.setxattr("link", "trusted.link", b"l", follow_symlinks=False)
        equal((attributes("link"), os.getxattr("link", "trusted.link", follow_symlinks=False)), ([], b"l"))
    equal(os.getxattr("directory", "user.d"), b"d")
    fails(errno.EPERM, os.setxattr, "link", "user.no", b"l", follow_symlinks=False)
    fails(errno.ERANGE, os.setxattr, "file", "user." + "n" * 251, b"v")


@check
def file_system_status():
    status = os.statvfs(".")
    equal((status.f_namemax, status.f_blocks > 0, 0 < status.f_bavail <= status.f_blocks), (255, True, True))


@check
def inode_flags():
    GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
    NOATIME, NODUMP, IMMUTABLE, APPEND = 0x80, 0x40, 0x10, 0x20
    write("file", b"x")
    descriptor = os.open("file", os.O_RDWR)

    def flags():
        return struct.unpack("<i", fcntl.ioctl(descriptor, GETFLAGS, b"\0" * 4)[:4])[0]

    def change(value):
        fcntl.ioctl(descriptor, SETFLAGS, struct.pack("<i", value))

    plain = flags()
    change(plain | NODUMP | NOATIME)
    equal(flags(), plain | NODUMP | NOATIME)
    change(plain)
    equal(flags(), plain)
    if os.path.exists("/usr/bin/lsattr"):
        shell("chattr +d file && lsattr file | grep -q d && chattr -d file")
    fails(errno.ENOTTY, fcntl.ioctl, descriptor, 0x12345678)
    for flag in (IMMUTABLE, APPEND):
        if PRIVILEGED:
            change(plain | flag)
            fails(errno.EPERM, os.truncate, "file", 0)
            fails(errno.EPERM, os.unlink, "file")
            change(plain)
        else:
            fails(errno.EPERM, change, plain | flag)
    os.truncate("file", 0)
    os.close(descriptor)
    os.mkdir("directory")
    shell("chattr +A directory && lsattr -d directory | grep -q A && chattr -A directory")
