# SPDX-License-Identifier: Apache-2.0
# A program of the guest that watches directories (inotify) and looks at files, by lines of standard input. It answers "= TEXT", and
# says each event as "event DIRECTORY KINDS NAME".
import ctypes, os, select, signal, struct, sys, time

KINDS = ["ACCESS", "MODIFY", "ATTRIB", "CLOSE_WRITE", "CLOSE_NOWRITE", "OPEN", "MOVED_FROM", "MOVED_TO", "CREATE", "DELETE",
         "DELETE_SELF", "MOVE_SELF", "", "", "OVERFLOW", "IGNORED"]
CHANGES = 0xFCE  # what is written, made, moved or removed
libc = ctypes.CDLL(None, use_errno=True)


class Watcher:
    def __init__(self):
        with open("/proc/sys/fs/inotify/max_queued_events", "w") as limit:
            limit.write("1000000")
        self.queue = libc.inotify_init1(os.O_NONBLOCK)
        self.directories = {}  # by watch
        self.names = {}  # what a directory holds, as the events say
        self.touched = {}  # names of which something was heard
        self.quiet = False
        self.overflowed = False
        self.children = []

    def say(self, text):
        os.write(1, (text + "\n").encode())

    def take(self):
        data = os.read(self.queue, 1 << 16)
        while data:
            watch, mask, _, length = struct.unpack_from("iIII", data)
            name = data[16:16 + length].rstrip(b"\0").decode()
            data = data[16 + length:]
            kinds = "+".join(kind for bit, kind in enumerate(KINDS) if mask >> bit & 1)
            directory = self.directories.get(watch, "?")
            self.overflowed |= "OVERFLOW" in kinds
            if name:
                self.touched.setdefault(directory, set()).add(name)
                if "CREATE" in kinds or "MOVED_TO" in kinds:
                    self.names.get(directory, set()).add(name)
                elif "DELETE" in kinds or "MOVED_FROM" in kinds:
                    self.names.get(directory, set()).discard(name)
            if not self.quiet or name.startswith("sync"):
                self.say(f"event {directory} {kinds} {name}")

    def watch(self, path):
        watch = libc.inotify_add_watch(self.queue, path.encode(), CHANGES)
        if watch < 0:
            raise OSError(ctypes.get_errno(), path)
        self.directories[watch] = path
        if os.path.isdir(path):
            self.names[path] = set(os.listdir(path))
        return "watched"

    def listen(self, path, seconds):
        """What another watch, of everything, hears in that time."""
        queue = libc.inotify_init1(os.O_NONBLOCK)
        libc.inotify_add_watch(queue, path.encode(), 0xFFF)
        time.sleep(float(seconds))
        try:
            return repr(os.read(queue, 1 << 16))
        except BlockingIOError:
            return "nothing"
        finally:
            os.close(queue)

    def stat(self, path):
        try:
            status = os.lstat(path)
        except OSError as error:
            return error.strerror
        return f"{status.st_mode:o} {status.st_nlink} {status.st_size}"

    def cat(self, path):
        try:
            with open(path, "rb") as file:
                return file.read().decode()
        except OSError as error:
            return error.strerror

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)
        return "written"

    def rename(self, path, target):
        os.rename(path, target)
        return "renamed"

    def link(self, path):
        return os.readlink(path)

    def ls(self, path):
        return " ".join(sorted(os.listdir(path)))

    def work(self, path):
        """A process whose working directory this is; answers its id."""
        child = os.fork()
        if child == 0:
            os.chdir(path)
            signal.pause()
        self.children.append(child)
        return str(child)

    def read(self, path):
        """A process that reads all that is below, again and again."""
        child = os.fork()
        if child == 0:
            while True:
                for folder, _, names in os.walk(path):
                    for name in names:
                        self.cat(f"{folder}/{name}")
        self.children.append(child)
        return "reading"

    def forget(self):
        """Has the kernel drop all names that nobody uses; a watch is no use."""
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("2")
        return "forgotten"

    def rest(self):
        for child in self.children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self.children = []
        return "resting"

    def hush(self):
        self.quiet = True
        return "quiet"

    def told(self):
        """Whether the events tell what the directories hold now; else the first differences."""
        if self.overflowed:
            return "overflowed"
        wrong = []
        for directory, names in self.names.items():
            wrong += [f"{directory}/{name}" for name in names ^ set(os.listdir(directory))]
        return "all" if not wrong else f"{len(wrong)} wrong: " + " ".join(sorted(wrong)[:8])

    def heard(self, directory, *names):
        """Which of the names no event was about."""
        return "silent: " + " ".join(sorted(set(names) - self.touched.get(directory, set()))[:8])

    def run(self):
        lines = b""
        while True:
            ready, _, _ = select.select([0, self.queue], [], [])
            if self.queue in ready:
                self.take()
            if 0 in ready:
                more = os.read(0, 1 << 16)
                if not more:
                    break
                lines += more
                while b"\n" in lines:
                    line, lines = lines.split(b"\n", 1)
                    word, *rest = line.decode().split(" ")
                    self.say(f"= {getattr(self, word)(*rest)}".replace("\n", "|"))
        self.rest()


Watcher().run()
