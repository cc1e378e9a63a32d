// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization

/// As whom a part of a check runs: file access is by these ids alone, without capabilities unless `uid` is 0.
package struct User: Sendable, CustomStringConvertible {
    package let name: String
    package let uid: UInt32
    package let gid: UInt32
    /// Supplementary ones.
    package let groups: [UInt32]
    package let umask: mode_t

    package init(_ name: String, uid: UInt32, gid: UInt32, groups: [UInt32] = [], umask: mode_t = 0) {
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.umask = umask
    }

    package static let root = User("root", uid: 0, gid: 0)
    package static let owner = User("the owner", uid: 4001, gid: 4001)
    package static let stranger = User("a stranger", uid: 4002, gid: 4002)
    /// Belongs to the owner's group.
    package static let member = User("a group member", uid: 4003, gid: 4003, groups: [4001])

    package func with(umask: mode_t) -> User { User(name, uid: uid, gid: gid, groups: groups, umask: umask) }
    package func with(groups: [UInt32]) -> User {
        User(name, uid: uid, gid: gid, groups: groups, umask: umask)
    }

    package var description: String {
        "\(name) (uid \(uid), gid \(gid)\(groups.isEmpty ? "" : ", groups \(groups)"))"
    }

    /// Makes the calling thread this user, for the rest of its life. The umask belongs to its working directory, which it
    /// must not share.
    fileprivate func take() throws(Errno) {
        _ = Glibc.umask(umask)
        _ = try systemCall { unsafe vfs_setgroups_thread(groups.count, groups) }
        _ = try systemCall { vfs_setresgid_thread(gid, gid, gid) }
        _ = try systemCall { vfs_setresuid_thread(uid, uid, uid) }
    }
}

/// Runs `body` as `user` on a thread of its own, in the same directory, and waits for it. Needs root.
package func by<Result: Sendable>(_ user: User, _ body: @escaping @Sendable () throws -> Result) throws
    -> Result
{
    try onThread("as \(user)") {
        do throws(Errno) {
            _ = try systemCall { unshare(CLONE_FS) }
            try user.take()
        } catch { throw Unsupported("a thread cannot become \(user): \(name(of: error))") }
        return try body()
    }
}

/// Runs `body` as another process with the same ids would: its descriptors, umask and directory are its own, so POSIX
/// locks see another owner.
package func inOtherProcess<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws
    -> Result
{
    try onThread("in another process") {
        do throws(Errno) { _ = try systemCall { unshare(CLONE_FS | CLONE_FILES) } } catch {
            throw Unsupported("a thread cannot have its own descriptors: \(name(of: error))")
        }
        return try body()
    }
}

/// Runs `body` on another thread and waits for it; `words` go in front of its failure.
func onThread<Result: Sendable>(
    _ words: String, _ body: @escaping @Sendable () throws -> Result
) throws -> Result {
    let answer = Answer<Result>()
    do throws(Errno) {
        let thread = try Thread(name: "check's user") { answer.set(Swift.Result { try body() }) }
        thread.join()
    } catch { throw Unsupported("no thread: \(name(of: error))") }
    do { return try answer.get() } catch let failure as Failure { throw failure.within(words) }
}

/// What a thread has to say.
private final class Answer<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>>(.failure(Failure("the thread said nothing")))

    func set(_ result: Result<Value, any Error>) { self.result.withLock { $0 = result } }
    func get() throws -> Value { try result.withLock { $0 }.get() }
}
