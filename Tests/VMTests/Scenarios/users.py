# SPDX-License-Identifier: Apache-2.0
# What each user may do: root, 1000 and 1001. The word "acl" says that the share has POSIX ACLs, "privileged" that root may set
# trusted.* attributes.
ACL, PRIVILEGED = "acl" in sys.argv[2:], "privileged" in sys.argv[2:]
FIRST, SECOND, TEAM = 1000, 1001, 3000


def owner(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def mode(path):
    return os.lstat(path).st_mode & 0o7777


@check
def owners_of_new_files():
    os.chmod(".", 0o777)

    def make():
        write("file", b"x")
        os.mkdir("directory")
        os.symlink("file", "link")
        os.mkfifo("fifo")
        os.link("file", "hard")
        os.close(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600))

    as_user(FIRST, FIRST, [], make)
    for name in ("file", "directory", "link", "fifo", "hard"):
        equal(owner(name), (FIRST, FIRST), f"the owner of {name}")
    equal(owner("."), (0, 0))
    write("of root", b"r")
    equal(owner("of root"), (0, 0), "the owner after another's turn")


@check
def private_files():
    os.chmod(".", 0o777)
    as_user(FIRST, FIRST, [], write, "secret", b"s", 0o600)
    as_user(FIRST, FIRST, [], os.mkdir, "closed", 0o700)
    as_user(FIRST, FIRST, [], write, "closed/file", b"c")

    def intrude():
        fails(errno.EACCES, os.open, "secret", os.O_RDONLY)
        fails(errno.EACCES, os.open, "secret", os.O_WRONLY)
        fails(errno.EACCES, os.truncate, "secret", 0)
        fails(errno.EACCES, os.listdir, "closed")
        fails(errno.EACCES, os.stat, "closed/file")
        fails(errno.EACCES, os.mkdir, "closed/mine")
        fails(errno.EPERM, os.chmod, "secret", 0o666)
        fails(errno.EPERM, os.chown, "secret", SECOND, SECOND)
        fails(errno.EPERM, os.utime, "secret", (1, 1))
        equal(os.access("secret", os.R_OK), False)

    as_user(SECOND, SECOND, [], intrude)
    as_user(FIRST, FIRST, [], lambda: equal(read("secret") + read("closed/file"), b"sc"))
    as_user(FIRST, FIRST, [], lambda: fails(errno.EPERM, os.chown, "secret", SECOND, -1))
    equal(read("secret"), b"s", "what root reads")


@check
def supplementary_groups():
    os.mkdir("team", 0o770)
    os.chown("team", 0, TEAM)
    os.chmod("team", 0o2770)

    def member():
        write("team/file", b"by a member", 0o660)
        os.mkdir("team/directory")
        os.symlink("file", "team/link")
        os.rename("team/file", "team/renamed")

    as_user(FIRST, FIRST, [TEAM, 4], member)
    equal((owner("team/renamed"), owner("team/directory"), owner("team/link")), ((FIRST, TEAM),) * 3)
    equal((mode("team/directory") & 0o2000, mode("team/renamed")), (0o2000, 0o640))
    as_user(SECOND, SECOND, [], lambda: fails(errno.EACCES, os.open, "team/new", os.O_CREAT | os.O_WRONLY))
    as_user(SECOND, SECOND, [TEAM], lambda: equal(read("team/renamed"), b"by a member"))
    as_user(SECOND, SECOND, [TEAM], lambda: fails(errno.EACCES, os.open, "team/renamed", os.O_WRONLY))
    as_user(SECOND, SECOND, [TEAM], os.unlink, "team/renamed")


@check
def sticky():
    os.chmod(".", 0o1777)
    as_user(FIRST, FIRST, [], write, "file", b"x", 0o666)

    def other():
        write("mine", b"")
        fails(errno.EPERM, os.unlink, "file")
        fails(errno.EPERM, os.rename, "file", "stolen")
        fails(errno.EPERM, os.rename, "mine", "file")

    as_user(SECOND, SECOND, [], other)
    as_user(FIRST, FIRST, [], os.unlink, "file")


@check
def set_group_id():
    os.mkdir("directory")
    os.chown("directory", FIRST, TEAM)
    os.chmod("directory", 0o2775)
    as_user(FIRST, FIRST, [], write, "directory/file", b"")
    as_user(FIRST, FIRST, [], os.mkdir, "directory/below")
    equal((owner("directory/file"), owner("directory/below")), ((FIRST, TEAM),) * 2)
    equal((mode("directory/file"), mode("directory/below")), (0o644, 0o2755))
    # Not a member of the group: the bit is lost, or one could run as a group that is not one's own.
    as_user(FIRST, FIRST, [], write, "directory/program", b"", 0o2755)
    equal(mode("directory/program"), 0o755)
    write("program", b"")
    os.chown("program", FIRST, TEAM)
    as_user(FIRST, FIRST, [], os.chmod, "program", 0o2755)
    equal(mode("program"), 0o755)


@check
def masks():
    os.chmod(".", 0o777)

    def make():
        for mask in (0o000, 0o022, 0o077, 0o777):
            os.umask(mask)
            write(f"file{mask}", b"", 0o666)
            os.mkdir(f"directory{mask}", 0o777)
            os.mkfifo(f"fifo{mask}", 0o666)

    as_user(FIRST, FIRST, [], make)
    for mask in (0o000, 0o022, 0o077, 0o777):
        equal((mode(f"file{mask}"), mode(f"directory{mask}"), mode(f"fifo{mask}")),
              (0o666 & ~mask, 0o777 & ~mask, 0o666 & ~mask), f"the modes under {mask:o}")


def set_id_file(name):
    write(name, b"#!/bin/sh\n")
    os.chown(name, FIRST, TEAM)
    os.chmod(name, 0o6777)


@check
def set_id_bits_are_cleared():
    def by(action):
        set_id_file(action.__name__)
        as_user(SECOND, SECOND, [], action, action.__name__)
        equal(mode(action.__name__), 0o777, f"the mode after {action.__name__}")

    def written(path):
        with open(path, "r+b", buffering=0) as file:
            file.write(b"x")

    def shortened(path):
        os.truncate(path, 1)

    def opened_with_truncation(path):
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))

    def allocated(path):
        with open(path, "r+b", buffering=0) as file:
            call("fallocate", file.fileno(), 0, 0, 8192)

    for action in (written, shortened, opened_with_truncation, allocated):
        by(action)
    set_id_file("given")
    os.chown("given", SECOND, SECOND)
    equal(mode("given"), 0o777, "the mode after chown")
    # Without execution by the group, the set-group-id bit means locking and stays.
    set_id_file("locking")
    os.chmod("locking", 0o6767)
    os.chown("locking", SECOND, SECOND)
    equal(mode("locking"), 0o2767)
    set_id_file("kept")
    with open("kept", "r+b", buffering=0) as file:
        file.write(b"by root")
    equal(mode("kept"), 0o6777, "the mode after root wrote")


@check
def access_lists():
    if not ACL:
        fails(errno.EOPNOTSUPP, os.setxattr, ".", "system.posix_acl_access", acl())
        return
    write("file", b"listed", 0o600)
    shell("setfacl -m u:1000:r file")
    equal(shell("getfacl -ncpE file"), "user::rw-\nuser:1000:r--\ngroup::---\nmask::r--\nother::---\n\n")
    equal(mode("file"), 0o640)
    as_user(FIRST, FIRST, [], lambda: equal(read("file"), b"listed"))
    as_user(FIRST, FIRST, [], lambda: fails(errno.EACCES, os.open, "file", os.O_WRONLY))
    as_user(SECOND, SECOND, [], lambda: fails(errno.EACCES, os.open, "file", os.O_RDONLY))
    os.chmod("file", 0o600)
    as_user(FIRST, FIRST, [], lambda: fails(errno.EACCES, os.open, "file", os.O_RDONLY))
    shell("setfacl -b file")
    equal(os.listxattr("file"), [])


def acl():
    """user::rwx, group::r-x, other::r-x as the kernel's attribute."""
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, bits, 0xFFFFFFFF) for tag, bits in ((1, 7), (4, 5), (0x20, 5)))


@check
def default_access_lists():
    if not ACL:
        return
    os.mkdir("directory", 0o777)
    os.chmod("directory", 0o777)
    shell("setfacl -d -m u::rwx,g::rx,o::-,u:1001:rw directory")

    def make():
        os.umask(0o077)
        write("directory/file", b"inherits", 0o666)
        os.mkdir("directory/below", 0o777)
        os.mkfifo("directory/fifo", 0o666)

    as_user(FIRST, FIRST, [], make)
    equal(shell("getfacl -ncpE directory/file"),
          "user::rw-\nuser:1001:rw-\ngroup::r-x\nmask::rw-\nother::---\n\n")
    wanted = shell("getfacl -ncpEd directory")
    equal(shell("getfacl -ncpEd directory/below"), wanted, "the default list of the directory below")
    equal((mode("directory/file"), mode("directory/below"), mode("directory/fifo")), (0o660, 0o770, 0o660))
    as_user(SECOND, SECOND, [], lambda: equal(read("directory/file"), b"inherits"))


@check
def protected_attributes():
    write("file", b"", 0o644)
    if PRIVILEGED:
        os.setxattr("file", "trusted.t", b"t")
    write("public", b"")
    os.chmod("public", 0o666)

    def user():
        fails(errno.EPERM, os.setxattr, "file", "trusted.u", b"u")
        fails(errno.EACCES, os.setxattr, "file", "user.u", b"u")
        os.setxattr("public", "user.u", b"u")
        fails(errno.ENODATA, os.getxattr, "file", "trusted.t")

    as_user(FIRST, FIRST, [], user)
    equal(os.getxattr("public", "user.u"), b"u")
