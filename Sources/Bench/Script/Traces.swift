// SPDX-License-Identifier: Apache-2.0
import Glibc

// What a Linux guest sends while common programs run, one request after the other. docs/bench.md says how these were
// made up. FLUSH is left out: a guest does not send it to a daemon that answers OPEN with FOPEN_NOFLUSH.

extension Catalogue {
    /// `git status` in a clean work tree of 16 directories with 25 files each, whose names the guest knew and which have
    /// expired: it asks for each again.
    static func gitStatus(directories: Int = 16, filesEach: Int = 25) -> Script {
        let count = directories * filesEach
        return Script("git-status", "the requests of git status in a tree of \(count) files") { script in
            let (git, handle) = (script.node(), script.handle())
            let found = script.node()
            let settings: [(name: String, size: UInt32)] = [
                ("HEAD", 23), ("config", 120), ("index", UInt32(clamping: 80 * count)),
            ]
            script.prepare(.mkdir(.directory, script.name(".git"), git))
            for (name, size) in settings {
                script.prepareFile(git, name, size: size, found, handle)
            }
            let folders = (0..<directories).map { _ in script.node() }
            for (index, folder) in folders.enumerated() {
                script.prepare(.mkdir(.directory, script.name("dir\(index)"), folder))
                for file in 0..<filesEach {
                    script.prepareFile(folder, "file\(file).c", size: 0, found, handle)
                }
            }

            // Open the repository, read the index.
            script.add(.lookup(.directory, script.name(".git"), git))
            for (name, size) in settings {
                script.add(
                    .lookup(git, script.name(name), found), .open(found, handle, flags: UInt32(O_RDONLY)),
                    .read(found, handle, .at(0), size: size), .release(found, handle))
            }
            // Compare: lstat of every file.
            for (index, folder) in folders.enumerated() {
                script.add(.lookup(.directory, script.name("dir\(index)"), folder))
                for file in 0..<filesEach {
                    script.add(.lookup(folder, script.name("file\(file).c"), found))
                }
            }
            // Look for untracked files.
            for folder in folders {
                script.add(
                    .lookupMissing(folder, script.name(".gitignore")), .opendir(folder, handle),
                    .list(folder, handle, entries: filesEach), .releasedir(folder, handle))
            }
            // Lock the index and find that it need not be written. Each lane has a lock of its own.
            let lock = script.name("index.lock")
            script.add(
                .lookupMissing(.home, lock), .create(.home, lock, found, handle), .release(found, handle),
                .unlink(.home, lock), .forget(found, count: 1))
        }
    }

    /// `tar x` of 4 directories with 10 files each as root, then `rm -r` of all that.
    static func untar(directories: Int = 4, filesEach: Int = 10) -> Script {
        let count = directories * filesEach
        return Script("untar", "the requests of tar x of \(count) files, then of rm -r") { script in
            let (tree, handle) = (script.node(), script.handle())
            let sizes: [UInt32] = [700, 2500, 9000, 30_000]
            let folders = (0..<directories).map { index in
                (
                    node: script.node(), name: script.name("dir\(index)"),
                    files: (0..<filesEach).map { (node: script.node(), name: script.name("file\($0)")) }
                )
            }

            script.add(.lookupMissing(.home, script.name("tree")), .mkdir(.home, script.name("tree"), tree))
            for folder in folders {
                script.add(.lookupMissing(tree, folder.name), .mkdir(tree, folder.name, folder.node))
                for (index, file) in folder.files.enumerated() {
                    script.add(
                        .lookupMissing(folder.node, file.name),
                        .create(folder.node, file.name, file.node, handle))
                    // tar writes what it has read at once: 20 blocks of 512 bytes.
                    let size = sizes[index % sizes.count]
                    for offset in stride(from: 0, to: size, by: 10_240) {
                        script.add(
                            .write(
                                file.node, handle, .at(UInt64(offset)), size: min(10_240, size - offset)))
                    }
                    script.add(
                        .setTimes(file.node, handle), .chown(file.node, handle), .release(file.node, handle))
                }
            }
            // The times of directories come last.
            for folder in folders { script.add(.setTimes(folder.node, nil), .chown(folder.node, nil)) }

            script.add(
                .opendir(tree, handle), .list(tree, handle, entries: directories), .releasedir(tree, handle))
            for folder in folders {
                script.add(
                    .opendir(folder.node, handle), .list(folder.node, handle, entries: filesEach),
                    .releasedir(folder.node, handle))
                // Each is known from MKDIR or CREATE and from the listing.
                for file in folder.files {
                    script.add(.unlink(folder.node, file.name), .forget(file.node, count: 2))
                }
                script.add(.rmdir(tree, folder.name), .forget(folder.node, count: 2))
            }
            script.add(.rmdir(.home, script.name("tree")), .forget(tree, count: 1))
        }
    }
}

extension Script {
    /// A file that the guest knows and has closed.
    fileprivate mutating func prepareFile(
        _ directory: NodeSlot, _ text: String, size: UInt32, _ node: NodeSlot, _ handle: HandleSlot
    ) {
        prepare(.create(directory, name(text), node, handle))
        if size > 0 { prepare(.write(node, handle, .at(0), size: size)) }
        prepare(.release(node, handle))
    }
}
