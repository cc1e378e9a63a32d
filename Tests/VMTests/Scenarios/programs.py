# SPDX-License-Identifier: Apache-2.0
# Programs that lean on a file system: git and SQLite.
ROWS = 150


@check
def git():
    os.environ.update(
        HOME=os.getcwd(), GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b",
        GIT_CONFIG_NOSYSTEM="1")
    shell("git init -q -b main first && cd first && git config gc.auto 0")
    os.makedirs("first/some/where")
    for number in range(120):
        write(f"first/{'some/where/' * (number % 2)}file{number}", noise(1000 + number, seed=number))
    os.symlink("file0", "first/link")
    write("first/program", b"#!/bin/sh\n", 0o755)
    shell("cd first && git add . && git commit -q -m one")
    shell("git clone -q --no-local first second && git clone -q first third")
    shell("cd second && echo more >>file2 && git rm -q file4 && git mv file6 moved && git commit -q -a -m two")
    shell("cd first && git pull -q ../second main && git branch side HEAD~1 && git checkout -q side && git checkout -q main")
    for name in ("first", "second", "third"):
        equal(shell(f"cd {name} && git status --porcelain"), "", f"the status of {name}")
        shell(f"cd {name} && git fsck --full --strict")
    shell("cd first && git repack -q -a -d && git fsck --full && git diff --exit-code HEAD~1 HEAD --quiet || [ $? = 1 ]")
    equal(shell("cd first && git rev-parse HEAD"), shell("cd second && git rev-parse HEAD"))


@check
def sqlite():
    with sqlite3.connect("data") as database:
        equal(database.execute("PRAGMA journal_mode=WAL").fetchone(), ("wal",))
        database.execute("CREATE TABLE rows (writer INTEGER, number INTEGER, text TEXT, UNIQUE (writer, number))")
    database.close()

    def insert(writer):
        connection = sqlite3.connect("data", timeout=120, isolation_level=None)
        connection.execute("PRAGMA synchronous=NORMAL")
        for number in range(ROWS):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO rows VALUES (?, ?, ?)", (writer, number, "x" * 200))
            connection.execute("COMMIT")
        connection.close()

    reader = sqlite3.connect("data", timeout=120)
    for join in [child(insert, writer) for writer in (1, 2)]:
        join()
    equal(reader.execute("SELECT writer, count(*), sum(number) FROM rows GROUP BY writer").fetchall(),
          [(writer, ROWS, ROWS * (ROWS - 1) // 2) for writer in (1, 2)])
    equal(reader.execute("PRAGMA integrity_check").fetchone(), ("ok",))
    reader.close()
