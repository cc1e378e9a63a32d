// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The process that serves, as it starts.
package final class Inside {
    private let channel: Channel
    private let user: UserNamespace?
    private let walls: Walls?

    /// Makes the namespaces; returns in the process that is to serve.
    init(
        _ channel: consuming Channel, behind walls: Walls?, in user: UserNamespace?
    ) throws(StartupError) {
        self.user = user
        self.walls = walls
        if let walls {
            try Self.makeNamespaces(walls, user, channel)
            let child = try raising("process namespace") { () throws(Errno) in try systemCall(vfs_fork) }
            if child > 0 {
                channel.send(server: child)
                _exit(0)
            }
            guard channel.receive() == .adopted else { _exit(1) }
        }
        self.channel = channel
    }

    private static func makeNamespaces(
        _ walls: Walls, _ user: UserNamespace?, _ channel: borrowing Channel
    ) throws(StartupError) {
        if let user {
            try enter("user namespace", CLONE_NEWUSER)
            try user.writeOwnMaps()
            channel.send(.madeUserNamespace)
            guard channel.receive() == .mapped else { _exit(1) }
        }
        try enter("mount namespace", CLONE_NEWNS)
        for (wall, name, flag) in [
            (Walls.network, "network namespace", CLONE_NEWNET), (.ipc, "IPC namespace", CLONE_NEWIPC),
            (.hostName, "host name", CLONE_NEWUTS), (.processes, "process namespace", CLONE_NEWPID),
        ] where walls.contains(wall) {
            try enter(name, flag)
        }
    }

    private static func enter(_ name: String, _ flag: Int32) throws(StartupError) {
        _ = try raising(name) { () throws(Errno) in try systemCall { unshare(flag) } }
    }

    /// Takes on the ids of the user namespace, and ends with the process outside from now on. What the ids of before must find has to
    /// be found by now.
    package func settle() throws(StartupError) {
        try user?.become()
        // Without a user namespace: groups of root's would count for what guests' users make (CVE-2022-0358).
        if user == nil { _ = vfs_setgroups_thread(0, nil) }
        guard walls?.contains(.parentDeath) ?? true else { return }
        // A change of ids takes it back, so after that. If the other process has gone already, `announce` notices.
        _ = try doing("follow", "the process outside") { () throws(Errno) in
            try systemCall { vfs_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0) }
        }
    }

    /// Says that the daemon can answer, and returns when front-ends can connect. Ends this process when the one outside has ended,
    /// or cannot let them: that one says why.
    package func announce() {
        channel.send(.ready)
        guard channel.receive() == .published else { _exit(1) }
    }
}
