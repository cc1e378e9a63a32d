# SPDX-License-Identifier: Apache-2.0
# A little of everything, for every guest.


@check
def tree():
    for number in range(20):
        os.makedirs(f"a/{number}/b")
        write(f"a/{number}/b/file", noise(30_000 + number, seed=number))
        os.symlink("b/file", f"a/{number}/link")
    os.link("a/0/link", "hard", follow_symlinks=True)
    os.rename("a/1", "moved")
    equal(read("moved/link"), noise(30_001, seed=1))
    shell("rm -r a/2 && cp -a a copy && diff -r a copy")
    os.rename("moved/b/file", "a/3/b/file")
    equal(read("a/3/b/file"), noise(30_001, seed=1))
    equal(os.listdir("moved/b"), [])


@check
def data():
    content = noise(5_000_000)
    write("file", content)
    equal(hashlib.sha256(read("file")).hexdigest(), hashlib.sha256(content).hexdigest())
    call("posix_fadvise", os.open("file", os.O_RDONLY), 0, 0, 4)
    equal(hashlib.sha256(read("file")).hexdigest(), hashlib.sha256(content).hexdigest())


@check
def thousand_names():
    for number in range(1000):
        os.close(os.open(f"name{number}", os.O_CREAT | os.O_WRONLY, 0o644))
    equal(sorted(os.listdir(".")), sorted(f"name{number}" for number in range(1000)))


@check
def mapping():
    write("file", b"\0" * 200_000)
    with open("file", "r+b") as file:
        if "no-mapping" in sys.argv:
            fails(errno.ENODEV, mmap.mmap, file.fileno(), 200_000)
            return
        with mmap.mmap(file.fileno(), 200_000) as memory:
            memory[100_000:100_004] = b"here"
            memory.flush()
    equal(read("file")[99_999:100_005], b"\0here\0")


@check
def jobs():
    def job(number):
        mine = noise(300_000, seed=number)
        for turn in range(10):
            write(f"{number}.{turn}", mine)
            equal(read(f"{number}.{turn}") == mine, True, "that the data came back")
            os.rename(f"{number}.{turn}", f"{number}.done{turn}")
        for turn in range(5):
            os.unlink(f"{number}.done{turn}")

    for join in [child(job, number) for number in range(8)]:
        join()
    equal(len(os.listdir(".")), 40)
