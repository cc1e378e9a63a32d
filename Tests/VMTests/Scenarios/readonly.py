# SPDX-License-Identifier: Apache-2.0
# A share that its daemon serves read-only, though it is mounted to be written.

@check
def writes_are_refused():
    equal((read("file"), sorted(os.listdir("."))), (b"of the host", ["directory", "file", "link"]))
    equal((os.readlink("link"), os.getxattr("file", "user.x")), ("file", b"1"))
    for call_, arguments in (
        (os.open, ("file", os.O_WRONLY)), (os.open, ("file", os.O_RDWR)), (os.open, ("new", os.O_CREAT | os.O_WRONLY)),
        (os.open, ("file", os.O_RDONLY | os.O_TRUNC)), (os.open, (".", os.O_TMPFILE | os.O_RDWR)),
        (os.truncate, ("file", 0)), (os.unlink, ("file",)), (os.rmdir, ("directory",)), (os.mkdir, ("new",)),
        (os.rename, ("file", "new")), (os.link, ("file", "new")), (os.symlink, ("x", "new")), (os.mkfifo, ("new",)),
        (os.chmod, ("file", 0o600)), (os.chown, ("file", 1, 1)), (os.utime, ("file", (1, 1))),
        (os.setxattr, ("file", "user.y", b"1")), (os.removexattr, ("file", "user.x")),
    ):
        fails(errno.EROFS, call_, *arguments)
    equal((read("file"), os.stat("file").st_size), (b"of the host", 11))
