// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The user namespace in which an ordinary user's daemon may do what the other walls take: there it has every capability, over
/// nothing but what its maps reach.
package struct UserNamespace: Sendable, Equatable {
    package let uidMap: [IDMap]
    package let gidMap: [IDMap]
    private let uid: UInt32
    private let gid: UInt32

    /// - Parameters:
    ///   - uidMap: empty: `uid` is itself, and no other id means anything.
    ///   - uid: the daemon's own; likewise for groups.
    /// - Throws: when the daemon itself would be nobody.
    package init(uidMap: [IDMap], gidMap: [IDMap], uid: UInt32, gid: UInt32) throws(StartupError) {
        self.uidMap = uidMap.isEmpty ? [IDMap(inside: uid, outside: uid, count: 1)] : uidMap
        self.gidMap = gidMap.isEmpty ? [IDMap(inside: gid, outside: gid, count: 1)] : gidMap
        self.uid = uid
        self.gid = gid
        for (option, map, own) in [("--uid-map", self.uidMap, uid), ("--gid-map", self.gidMap, gid)]
        where !map.contains(where: { $0.maps(0) || $0.reaches(own) }) {
            throw StartupError(
                operation: "use", subject: option, reason: "neither id 0 nor the daemon's own is in the map",
                hint: "add a map that begins with :0: or one that reaches \(own)")
        }
    }

    /// A map that anybody may write: of the one id that the writer has.
    private static func isOwn(_ map: [IDMap], _ id: UInt32) -> Bool {
        map.count == 1 && map[0].count == 1 && map[0].outside == id
    }

    /// Inside, in the process that has made the namespace: writes the maps that it may write itself.
    func writeOwnMaps() throws(StartupError) {
        if Self.isOwn(gidMap, gid) {
            // Or whoever is kept out of a file by his group could leave the group (CVE-2014-8989).
            try write("deny", to: "/proc/self/setgroups")
            try write(gidMap[0].words.joined(separator: " "), to: "/proc/self/gid_map")
        }
        if Self.isOwn(uidMap, uid) {
            try write(uidMap[0].words.joined(separator: " "), to: "/proc/self/uid_map")
        }
    }

    private func write(_ text: String, to path: String) throws(StartupError) {
        try raising("user namespace (\(path))") { () throws(Errno) in
            let file = OwnedDescriptor(adopting: try systemCall { unsafe open(path, O_WRONLY | O_CLOEXEC) })
            try Files.writeAll(file.rawValue, Array(text.utf8))
        }
    }

    /// Outside: has the others written by the system's programs, which look into /etc/subuid and /etc/subgid. Not after
    /// no_new_privs, under which they have no rights.
    func writeOtherMaps(of process: pid_t) throws(StartupError) {
        if !Self.isOwn(uidMap, uid) { try run("newuidmap", "--uid-map", process, uidMap) }
        if !Self.isOwn(gidMap, gid) { try run("newgidmap", "--gid-map", process, gidMap) }
    }

    private func run(_ name: String, _ option: String, _ process: pid_t, _ map: [IDMap]) throws(StartupError)
    {
        guard let program = Files.program(name, alsoIn: ["/usr/bin", "/bin"]) else {
            throw StartupError(
                operation: "use", subject: option, reason: "there is no program \(name)",
                hint: "install it (package uidmap of Debian, shadow-utils of Fedora)")
        }
        let words = ["\(process)"] + map.flatMap(\.words)
        let (end, _, errors) = try raising("user namespace (\(program))") { () throws(Errno) in
            try ChildProcess.run(program, words)
        }
        guard end == .exited(0) else {
            let said = String(decoding: errors, as: UTF8.self).split(separator: "\n").first ?? ""
            throw StartupError(
                operation: "use", subject: option, reason: "\(name) refuses (\(said))",
                hint:
                    "give ids that \(option == "--uid-map" ? "/etc/subuid" : "/etc/subgid") grants this user")
        }
    }

    /// Inside, with the maps written: becomes id 0 where there is one, and leaves groups that it may leave. What the user's own
    /// ids must find on the host has to be found before.
    func become() throws(StartupError) {
        try raising("user namespace (ids)") { () throws(Errno) in
            if gidMap.contains(where: { $0.maps(0) }) { _ = try systemCall { setresgid(0, 0, 0) } }
            // Refused where a user wrote his own map: the groups are his own then.
            _ = vfs_setgroups_thread(0, nil)
            if uidMap.contains(where: { $0.maps(0) }) { _ = try systemCall { setresuid(0, 0, 0) } }
        }
    }
}
