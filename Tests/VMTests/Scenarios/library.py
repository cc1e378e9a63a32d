# SPDX-License-Identifier: Apache-2.0
# What every scenario starts with: it is put before the scenario's own text and both are given to python3 in the guest (or on
# the host, on a local directory, to see that the checks themselves are right). A scenario is a row of functions marked @check.
# Arguments: the directory to work in, then words for the scenario. Prints "pass NAME SECONDS" or "fail NAME" and, indented, why.
import ctypes, errno, fcntl, hashlib, mmap, os, random, resource, signal, socket, sqlite3, stat, struct, subprocess, sys, time
import traceback

libc = ctypes.CDLL(None, use_errno=True)
kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split("+")[0].split(".")[:2])
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def run():
    """Runs every check in a directory of its own name; with the word "in-place", in the directory itself."""
    os.umask(0o022)
    for function in CHECKS:
        name = function.__name__
        os.chdir(sys.argv[1])
        start = time.monotonic()
        try:
            if "in-place" not in sys.argv:
                os.mkdir(name)
                os.chdir(name)
            function()
            print(f"pass {name} {time.monotonic() - start:.1f}", flush=True)
        except BaseException:
            why = traceback.format_exc().strip().replace("\n", "\n  ")
            print(f"fail {name}\n  {why}", flush=True)


def equal(got, wanted, what="it"):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")


def fails(number, function, *arguments, **options):
    """The call must fail with this errno."""
    name = getattr(function, "__name__", str(function))
    try:
        result = function(*arguments, **options)
    except OSError as error:
        if error.errno != number:
            raise AssertionError(f"{name}: {errno.errorcode.get(error.errno)}, not {errno.errorcode[number]}") from error
        return
    raise AssertionError(f"{name} gave {result!r}, not {errno.errorcode[number]}")


def call(name, *arguments):
    """A function of libc; integers are passed as long, bytes as char *."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    function = getattr(libc, name)
    function.restype = ctypes.c_long
    ctypes.set_errno(0)
    result = ctypes.c_int(function(*words)).value if name != "syscall" else function(*words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    return result


def write(path, data, mode=0o644):
    """Makes or overwrites a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        while data:
            data = data[os.write(descriptor, data):]
    finally:
        os.close(descriptor)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def noise(count, seed=1):
    return random.Random(seed).randbytes(count)


def shell(command, **options):
    """Runs a command, which must succeed; gives what it printed."""
    result = subprocess.run(["sh", "-ec", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    text = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        raise AssertionError(f"status {result.returncode} of: {command}\n{text[-3000:]}")
    return text


def wait_until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def child(function, *arguments):
    """Runs a function in a new process; the result waits for it and passes its failure on."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        status = 0
        try:
            os.close(reader)
            function(*arguments)
        except BaseException:
            status = 1
            os.write(writer, traceback.format_exc().encode()[-3000:])
        finally:
            os._exit(status)
    os.close(writer)

    def join():
        with os.fdopen(reader, "rb") as messages:
            text = messages.read().decode()
        _, status = os.waitpid(process, 0)
        if status != 0:
            raise AssertionError(f"in the child, status {status}:\n{text}")

    return join


def as_user(uid, gid, groups, function, *arguments):
    """Runs a function to its end as another user."""

    def body():
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        return function(*arguments)

    child(body)()


def birth_time(path):
    """The birth time in ns, or None if the file system gives none."""
    buffer = ctypes.create_string_buffer(256)
    call("statx", AT_FDCWD, os.fsencode(path), 0x100, 0xFFF, buffer)
    seconds, nanoseconds = struct.unpack_from("<qI", buffer.raw, 0x50)
    return seconds * 10**9 + nanoseconds if struct.unpack_from("<I", buffer.raw, 0)[0] & 0x800 else None


def content_hash(path, size):
    """Of every block of 64 KiB that is not all zero, with its place: holes and zeroes count the same."""
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb", buffering=0) as file:
        place = 0
        while place < size:
            try:
                place = os.lseek(file.fileno(), place, os.SEEK_DATA) & ~0xFFFF
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = min(size, max(place + 1, os.lseek(file.fileno(), place, os.SEEK_HOLE)))
            while place < end:
                block = os.pread(file.fileno(), 65536, place)
                if block.strip(b"\0"):
                    digest.update(b"%d " % place + block)
                place += 65536
    return digest.hexdigest()[:32]


def attributes(path):
    """The names of a file's extended attributes; none if the share has none at all.

    Without those of trusted.*: Linux 6.12 and later does not tell the daemon who lists, and it shows them to root alone."""
    try:
        return [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.")]
    except OSError as error:
        equal(error.errno, errno.EOPNOTSUPP)
        return []


def manifest(directory, *words):
    """A line for each file below a directory: all that both sides must agree on. Words: "births" adds the times of birth,
    "no-times" leaves the others out."""
    lines, first_names = [], {}
    todo = [b"."]
    os.chdir(directory)
    while todo:
        path = todo.pop()
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        fields = [repr(path)[1:], oct(status.st_mode), status.st_uid, status.st_gid]
        fields += [] if "no-times" in words else [f"mtime={status.st_mtime_ns}"]
        if kind == stat.S_IFDIR:
            names = os.listdir(path)
            todo += sorted((os.path.join(path, name) for name in names), reverse=True)
        else:
            first = first_names.setdefault(status.st_ino, path) if status.st_nlink > 1 else path
            fields += [f"size={status.st_size}", f"links={status.st_nlink}", f"rdev={status.st_rdev}"]
            fields += [] if first == path else [f"same={first!r}"]
        if kind == stat.S_IFREG:
            fields.append(content_hash(path, status.st_size))
        elif kind == stat.S_IFLNK:
            fields.append(repr(os.readlink(path)))
        for name in sorted(attributes(path)):
            if not name.startswith("security."):
                fields.append(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}")
        if "births" in words:
            fields.append(f"birth={birth_time(path)}")
        lines.append(" ".join(str(field) for field in fields))
    return "\n".join(lines)
