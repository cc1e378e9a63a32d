// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

@Suite(.enabled(if: isRoot, "becoming other users needs root")) struct CredentialsTests {
    /// What the kernel says of this thread: the last columns of Uid and Gid are the fs ids.
    private func threadStatus(_ key: String) -> [String] {
        let number = open("/proc/thread-self/status", O_RDONLY)
        defer { close(number) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = read(number, &bytes, bytes.count)
        for line in String(decoding: bytes[..<max(0, count)], as: UTF8.self).split(separator: "\n")
        where line.hasPrefix(key + ":") {
            return line.dropFirst(key.count + 1).split(whereSeparator: { $0 == "\t" || $0 == " " }).map(
                String.init)
        }
        return []
    }

    /// Makes a directory as `caller` in `parent` and tells who owns it.
    private func make(_ fs: HostFS, _ caller: Caller, _ name: String, in parent: NodeID) throws -> stat {
        let directory = try fs.descriptor(of: parent)
        try fs.enter(caller)
        _ = try systemCall { mkdirat(directory, name, 0o777) }
        var status = stat()
        fs.enterDaemon()
        _ = try systemCall { fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) }
        return status
    }

    @Test func objectsBelongToTheCaller() throws {
        let test = try TestShare()
        chmod(test.path, 0o777)
        let user = try test.request { try make($0, .user(1000, 2000), "user", in: .root) }
        #expect(user.st_uid == 1000 && user.st_gid == 2000)
        let root = try test.request { try make($0, .root, "root", in: .root) }
        #expect(root.st_uid == 0 && root.st_gid == 0)
        let half = try test.request { try make($0, .user(0, 2000), "half", in: .root) }
        #expect(half.st_uid == 0 && half.st_gid == 2000)
    }

    @Test func aCallerHasNoMoreRightsThanItself() throws {
        let test = try TestShare()
        _ = try test.initialize()
        chmod(test.path, 0o755)
        #expect(test.error { try make($0, .user(1000), "x", in: .root) } == .EACCES)
        #expect(test.error { try make($0, .root, "x", in: .root) } == nil)
    }

    /// CVE-2022-0358: a group that the daemon was started with is nobody else's.
    @Test func theDaemonsGroupsAreDropped() throws {
        var groups: [gid_t] = [4242]
        #expect(vfs_setgroups_thread(1, &groups) == 0)
        let test = try TestShare()
        _ = try test.initialize()
        #expect(threadStatus("Groups").isEmpty)
        chown(test.path, 0, 4242)
        chmod(test.path, 0o2775)
        #expect(test.error { try make($0, .user(1000), "x", in: .root) } == .EACCES)
    }

    /// S3 of virtiofsd 1.14: a group sent with one request must not be there for the next.
    @Test func aSupplementaryGroupIsForOneRequest() throws {
        let test = try TestShare()
        _ = try test.initialize()
        chown(test.path, 0, 4242)
        chmod(test.path, 0o770)
        var root = Caller.root
        root.supplementaryGroup = 4242
        _ = try test.request { try make($0, root, "root", in: .root) }
        #expect(test.error { try make($0, .user(1000), "x", in: .root) } == .EACCES)
        var user = Caller.user(1000)
        user.supplementaryGroup = 4242
        #expect(test.error { try make($0, user, "user", in: .root) } == nil)
        #expect(threadStatus("Groups").isEmpty)
        #expect(test.error { try make($0, .user(1000), "y", in: .root) } == .EACCES)
    }

    /// Linux before 6.3 sends no group: what it has allowed to a member of the directory's group must not fail here.
    @Test func withoutGroupsTheGuestsCheckStands() throws {
        let test = try TestShare()
        chown(test.path, 0, 4242)
        chmod(test.path, 0o2770)
        _ = try test.initialize(.max & ~InitFlags.createSupplementaryGroup)
        let made = try test.request { try make($0, .user(1000), "x", in: .root) }
        #expect(made.st_uid == 1000 && made.st_gid == 4242)
        _ = try test.initialize()
        #expect(test.error { try make($0, .user(1000), "y", in: .root) } == .EACCES)
    }

    @Test func idsThatMeanNobodyAreRefused() throws {
        let test = try TestShare()
        for caller in [Caller.user(.max, 0), .user(0, .max), .user(.max)] {
            #expect(test.error { try $0.enter(caller) } == .EPERM)
        }
        #expect(threadStatus("Uid").last == "0" && threadStatus("Gid").last == "0")
    }

    /// The state that is cached is the state that is.
    @Test func switchingLeavesNothingBehind() throws {
        let test = try TestShare()
        let capabilities = threadStatus("CapEff")
        let fs = test.fs
        for _ in 0..<3 {
            try fs.enter(.user(1000, 2000))
            #expect(threadStatus("Uid").last == "1000" && threadStatus("Gid").last == "2000")
            #expect(threadStatus("CapEff") != capabilities)
            fs.enterDaemon(losingSetID: true)
            #expect(threadStatus("Uid").last == "0" && threadStatus("Gid").last == "0")
            let without = try #require(UInt64(threadStatus("CapEff").last ?? "", radix: 16))
            #expect(without & 1 << 4 == 0)
            #expect(without | 1 << 4 == UInt64(capabilities.last ?? "", radix: 16))
            fs.enterDaemon()
            #expect(threadStatus("CapEff") == capabilities)
            fs.enterDaemon(losingSetID: true)
            try fs.enter(.user(0, 7))
            #expect(threadStatus("CapEff") == capabilities && threadStatus("Gid").last == "7")
        }
        fs.enterDaemon()
        #expect(fs.credentials.isDaemon)
    }

    /// A cold inode is brought back by its handle, which only the daemon may do, in the middle of a caller's operation.
    @Test func aColdNodeIsReachedAsAnyCaller() throws {
        let test = try TestShare()
        test.write("file")
        let node = try test.node("file")
        let fs = test.fs
        fs.requestBegan()
        try fs.enter(.user(1000))
        _ = try fs.descriptor(of: node)
        #expect(threadStatus("Uid").last == "1000")
        fs.requestEnded()
    }

    @Test func theUmaskIsTheRequestsOnlyWithACLs() throws {
        let test = try TestShare { $0.posixACL = .auto }
        let fs = test.fs
        try fs.enter(.root, umask: 0o077)
        #expect(threadStatus("Umask") == ["0000"])
        _ = try test.initialize()
        try fs.enter(.root, umask: 0o077)
        #expect(threadStatus("Umask") == ["0077"])
        try fs.enter(.root)
        #expect(threadStatus("Umask") == ["0000"])
    }

    /// Without CAP_SETUID another user is refused, and the thread stays itself. In a thread of its own, which loses its
    /// capabilities.
    @Test func withoutTheRightToSwitchOtherUsersAreRefused() throws {
        let outcome = Outcome()
        let thread = try Thread(name: "unprivileged") {
            guard vfs_capset_thread(0, 0, 0) == 0, let credentials = try? Credentials() else { return }
            do throws(Errno) {
                try credentials.enter(uid: 1000, gid: 0, group: nil, groupsAreKnown: true)
            } catch {
                outcome.set(error, credentials.isDaemon)
            }
        }
        thread.join()
        #expect(outcome.error == .EPERM)
        #expect(outcome.isDaemon)
    }

    private final class Outcome: @unchecked Sendable {
        private(set) var error: Errno?
        private(set) var isDaemon = false
        func set(_ error: Errno, _ isDaemon: Bool) {
            self.error = error
            self.isDaemon = isDaemon
        }
    }
}
