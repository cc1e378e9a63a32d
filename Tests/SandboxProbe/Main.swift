// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Sandbox

/// Goes behind the sandbox's walls, but for those that the command line leaves out, and tries what they are for. Prints "KEY: VALUE"
/// lines. Only tests run it.
///
///     sandboxprobe DIR [without=WALL…] [readonly] [hang] [careful] [map=:0:1000:1:]
///
/// DIR is the share; beside it lies a file named `outside`. With `careful` it makes nothing in the share. With `hang` it says "hanging" instead, and stays.
@main
enum Main {
    static func main() {
        var (walls, readOnly, hangs, isCareful) = (Walls.all, false, false, false)
        var maps: [IDMap] = []
        do {
            for word in CommandLine.arguments.dropFirst(2) {
                if word.hasPrefix("without="), let wall = Self.walls[String(word.dropFirst(8))] {
                    walls.remove(wall)
                } else if word.hasPrefix("map=") {
                    maps.append(try IDMap(String(word.dropFirst(4)), spelled: word))
                } else {
                    (readOnly, hangs) = (readOnly || word == "readonly", hangs || word == "hang")
                    isCareful = isCareful || word == "careful"
                }
            }
            ignoreBrokenPipes()
            let user =
                geteuid() == 0
                ? nil : try UserNamespace(uidMap: maps, gidMap: maps, uid: geteuid(), gid: getegid())
            switch try divide(behind: walls, in: user) {
            case .outside(let outside): exit(try stayOutside(outside))
            case .inside(let inside):
                try goInside(
                    inside, CommandLine.arguments[1], walls, readOnly: readOnly, hangs: hangs, isCareful)
                exit(0)
            }
        } catch {
            print("error: \(error)")
            exit(1)
        }
    }

    private static let walls: [String: Walls] = [
        "processes": .processes, "network": .network, "ipc": .ipc, "hostName": .hostName, "root": .root,
        "mountFlags": .mountFlags, "processDirectory": .processDirectory, "parentDeath": .parentDeath,
    ]

    private static func stayOutside(_ outside: Outside) throws -> Int32 {
        try outside.awaitReady()
        for kind in ["mnt", "pid", "net", "ipc", "uts", "user"] {
            let own = try linkTarget("/proc/self/ns/\(kind)")
            let other = try linkTarget("/proc/\(outside.server)/ns/\(kind)")
            say("\(kind) namespace: \(own == other ? "shared" : "own")\n", to: STDOUT_FILENO)
        }
        outside.confirm()
        return outside.awaitEnd().status
    }

    private static func goInside(
        _ inside: Inside, _ path: String, _ walls: Walls, readOnly: Bool, hangs: Bool, _ isCareful: Bool
    ) throws {
        let opened = OwnedDescriptor(
            adopting: try systemCall { open(path, O_PATH | O_CLOEXEC) })
        let process = try OwnProcess(withTasks: true).walledOff(walls)
        let root = try enterPrivateRoot(opened, readOnly: readOnly, walls)
        try inside.settle()
        inside.announce()
        if hangs {
            say("hanging\n", to: STDOUT_FILENO)
            while true { pause() }
        }
        Attempts(root: root.rawValue, process: process, path: path).run(careful: isCareful)
    }
}

func say(_ text: String, to descriptor: Int32) { try? Files.writeAll(descriptor, Array(text.utf8)) }

private func linkTarget(_ path: String) throws(Errno) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = try systemCall { readlink(path, &buffer, buffer.count) }
    return String(decoding: buffer[..<count], as: UTF8.self)
}
