// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Sandbox

/// As whom the daemon starts.
package struct DaemonUser {
    let uid: UInt32
    let gid: UInt32

    package static var current: DaemonUser { DaemonUser(uid: geteuid(), gid: getegid()) }

    var isRoot: Bool { uid == 0 }
}

extension DaemonOptions.Sandbox {
    private enum Word: String, CaseIterable { case namespace, chroot, none }

    /// Reads `--sandbox`, `--uid-map` and `--gid-map`.
    init(
        _ arguments: ProcessArguments, _ settings: Settings, _ user: DaemonUser
    ) throws(StartupError) {
        var word = Word.namespace
        if let (value, spelled) = settings[.sandbox] {
            word = try parse(value, as: "sandbox mode", spelled: spelled)
        }
        let uidMap = try Self.maps(arguments.uidMap, "--uid-map")
        let gidMap = try Self.maps(arguments.gidMap, "--gid-map")
        let given =
            arguments.uidMap.map { ("--uid-map", $0) } + arguments.gidMap.map { ("--gid-map", $0) }
        if let (option, value) = given.first, user.isRoot || word != .namespace {
            throw StartupError(
                operation: "use", subject: spelling(option, value),
                reason: user.isRoot
                    ? "root's daemon has no user namespace" : "only --sandbox namespace has a user namespace",
                hint: "leave it out; --translate-uid and --translate-gid map ids without one")
        }
        switch word {
        case .none: self = .none
        case .chroot:
            guard user.isRoot else {
                throw StartupError(
                    operation: "use", subject: settings[.sandbox]?.spelling ?? "", reason: "it takes root",
                    hint: "an ordinary user can have --sandbox namespace")
            }
            self = .chroot
        case .namespace:
            self = .namespace(
                user: user.isRoot
                    ? nil
                    : try UserNamespace(uidMap: uidMap, gidMap: gidMap, uid: user.uid, gid: user.gid))
        }
    }

    private static func maps(_ values: [String], _ option: String) throws(StartupError) -> [IDMap] {
        var result: [IDMap] = []
        for value in values { result.append(try IDMap(value, spelled: spelling(option, value))) }
        return result
    }
}
