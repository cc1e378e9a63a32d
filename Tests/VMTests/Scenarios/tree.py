# SPDX-License-Identifier: Apache-2.0
# A tree of 5,000 files of every kind. The host makes "source" (word "make"); the guest copies, packs, moves and unpacks it;
# the host compares what came out of it with "source"; then the guest deletes it all (word "delete").
def make(root):
    os.mkdir(root)
    os.chdir(root)
    chance = random.Random(7)
    directories = [b"."]
    for number in range(199):
        path = os.path.join(chance.choice(directories), b"directory %d" % number)
        os.mkdir(path, 0o700 | chance.randrange(0o100))
        directories.append(path)
    files = []

    def new(name):
        files.append(os.path.join(chance.choice(directories), name))
        return files[-1]

    for number in range(4200):
        path = new(b"file%d" % number)
        write(path, chance.randbytes(chance.randrange(6000)))
        os.chmod(path, chance.choice((0o644, 0o600, 0o755, 0o400, 0o000, 0o4711, 0o2755, 0o1644)))
    for number in range(60):
        write(new(b"%d \xff\x80 " % number + b"L" * 248), b"%d" % number)
    regular = files[:]
    for number in range(250):
        os.symlink(chance.choice((b"file1", b"../nowhere", b"/", b"\xfe" * 300)), new(b"symlink%d" % number))
    for number in range(250):
        os.link(chance.choice(regular), new(b"hard link%d" % number))
    for number in range(20):
        os.mkfifo(new(b"fifo%d" % number), 0o640)
        with open(new(b"sparse%d" % number), "wb") as file:
            os.pwrite(file.fileno(), b"data", 1_000_000 * number)
            os.ftruncate(file.fileno(), 5_000_000 * number)
    for path in chance.sample(regular, 400):
        if os.lstat(path).st_mode & 0o6000 == 0:
            os.chown(path, chance.choice((1000, 1001)), 1000)
        os.setxattr(path, "user.number", b"%d" % chance.randrange(1000))
    for path in chance.sample(regular, 100) + directories[5:25]:
        # user::rw-, user:1000:r--, group::r--, mask::rw-, other::---
        entries = ((1, 6, 0xFFFFFFFF), (2, 4, 1000), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(path, "system.posix_acl_access", value)
        if path in directories:
            os.setxattr(path, "system.posix_acl_default", value)
    for path in files + directories[::-1]:
        moment = chance.randrange(10**18, 16 * 10**17)
        os.utime(path, ns=(moment, moment), follow_symlinks=False)


if sys.argv[2] == "make":
    CHECKS.clear()
    make(os.path.join(sys.argv[1], "source"))
elif sys.argv[2] == "work":

    @check
    def copied():
        shell("cp -a ../source copy && mv copy moved && mkdir below && mv moved below")

    @check
    def packed():
        shell("tar --xattrs --xattrs-include='*' --acls -S -C .. -cf /tmp/archive.tar source")
        shell("tar --xattrs --xattrs-include='*' --acls -S -p --same-owner -xf /tmp/archive.tar && rm /tmp/archive.tar")
else:

    @check
    def deleted():
        shell("rm -r ../copied ../packed ../source")
        equal(os.listdir(".."), ["deleted"])
