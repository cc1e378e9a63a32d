// SPDX-License-Identifier: Apache-2.0
import Glibc

/// All tests, in the order in which they run.
package enum Catalogue {
    package static let all: [Script] =
        names + attributes + [readdirplus(entries: 10_000)] + data + [gitStatus(), untar()]

    /// The tests of these names; `unknown` is the first that is none.
    package static func select(_ wanted: [String]) -> (scripts: [Script], unknown: String?) {
        let unknown = wanted.first { name in !all.contains { $0.name == name } }
        return (all.filter { wanted.contains($0.name) }, unknown)
    }

    private static let names = [
        Script("lookup", "LOOKUP of a known file") { script in
            let (file, _) = script.laneFile("file")
            script.add(.lookup(.home, script.name("file"), file))
        },
        Script("lookup-miss", "LOOKUP of a name that is not there") { script in
            script.add(.lookupMissing(.home, script.name("nothing")))
        },
        Script("open", "OPEN, RELEASE") { script in
            let (file, _) = script.laneFile("file")
            let handle = script.handle()
            script.add(.open(file, handle, flags: UInt32(O_RDONLY)), .release(file, handle))
        },
        Script("create", "CREATE, RELEASE, UNLINK, FORGET") { script in
            let (file, handle, name) = (script.node(), script.handle(), script.name("new"))
            script.add(
                .create(.home, name, file, handle), .release(file, handle), .unlink(.home, name),
                .forget(file, count: 1))
        },
        Script("mkdir", "MKDIR, RMDIR, FORGET") { script in
            let (directory, name) = (script.node(), script.name("new"))
            script.add(
                .mkdir(.home, name, directory), .rmdir(.home, name), .forget(directory, count: 1))
        },
        Script("rename", "RENAME to another name and back: 2 requests") { script in
            _ = script.laneFile("a")
            let (a, b) = (script.name("a"), script.name("b"))
            script.add(.rename(.home, a, b), .rename(.home, b, a))
        },
        Script("symlink", "SYMLINK, READLINK, UNLINK, FORGET") { script in
            let (link, name, target) = (script.node(), script.name("link"), script.name("some/where"))
            script.add(
                .symlink(.home, name, target: target, link), .readlink(link, target: target),
                .unlink(.home, name), .forget(link, count: 1))
        },
    ]

    private static let attributes = [
        Script("getattr", "GETATTR without a handle") { script in
            let (file, _) = script.laneFile("file")
            script.add(.getattr(file))
        },
        Script("setattr", "SETATTR of the mode") { script in
            let (file, _) = script.laneFile("file")
            script.add(.chmod(file, mode: 0o644))
        },
        Script("xattr", "SETXATTR and GETXATTR of 32 bytes") { script in
            let (file, _) = script.laneFile("file")
            let (name, value) = (script.name("user.bench"), script.name(String(repeating: "v", count: 32)))
            script.add(.setxattr(file, name, value: value), .getxattr(file, name, value: value))
        },
        Script("statfs", "STATFS") { script in
            script.add(.statfs(.directory))
        },
    ]

    private static let data: [Script] = {
        func transfer(_ name: String, _ summary: String, _ step: @escaping (NodeSlot, HandleSlot) -> Step)
            -> Script
        {
            Script(name, summary) { script in
                let (file, handle) = script.sharedFile()
                script.add(step(file, handle))
            }
        }
        return [
            transfer("read-4k", "READ of 4 KiB anywhere in a file of 64 MiB") {
                .read($0, $1, .random, size: 4096)
            },
            transfer("write-4k", "WRITE of 4 KiB anywhere in a file of 64 MiB") {
                .write($0, $1, .random, size: 4096)
            },
            transfer("read-1m", "READ of 1 MiB, one after the other") {
                .read($0, $1, .next, size: 1 << 20)
            },
            transfer("write-1m", "WRITE of 1 MiB, one after the other") {
                .write($0, $1, .next, size: 1 << 20)
            },
        ]
    }()

    static func readdirplus(entries: Int) -> Script {
        Script("readdirplus", "OPENDIR, READDIRPLUS of \(entries) entries, their FORGETs, RELEASEDIR") {
            script in
            let (directory, file) = (script.node(), script.node())
            let (handle, open) = (script.handle(), script.handle())
            script.prepare(.mkdir(.directory, script.name("entries"), directory))
            for index in 0..<entries {
                let name = script.name(unchecked: "entry-\(index)")
                script.prepare(
                    .create(directory, name, file, open), .release(file, open), .forget(file, count: 1))
            }
            script.add(
                .opendir(directory, handle), .list(directory, handle, entries: entries), .forgetListed,
                .releasedir(directory, handle))
        }
    }
}
