// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Foundation
import Glibc
@testable import HostOS
import Testing

@testable import VhostUser

/// A fresh directory, removed with everything in it.
private final class TemporaryDirectory {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "vhost." + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path) }
}

@Suite struct ListenerTests {
    private func status(_ path: String) throws -> stat {
        var status = stat()
        _ = try systemCall { lstat(path, &status) }
        return status
    }

    private func error(_ path: String, group: String? = nil) -> StartupError? {
        do throws(StartupError) {
            _ = try Listener(path: path, group: group)
            return nil
        } catch { return error }
    }

    @Test func serveOneFrontendAfterTheOther() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        let listener = try Listener(path: path)
        #expect(try directory.names() == ["vfs.sock"])
        #expect(try status(path).st_mode == S_IFSOCK | 0o600)
        #expect(try listener.acceptConnection() == nil)
        for _ in 0..<2 {
            let frontend = try FrontendSession(connectingTo: path)
            #expect(waitReadable(listener.descriptor.rawValue, timeoutMilliseconds: 5000) == 1)
            let connection = try #require(try listener.acceptConnection())
            try frontend.send(request: 3)
            #expect(try connection.receive(timeout: 5000).header.request == 3)
        }
    }

    @Test func fileGoesWithTheListener() throws {
        let directory = try TemporaryDirectory()
        do { _ = try Listener(path: directory.path + "/vfs.sock") }
        #expect(try directory.names() == [])
    }

    @Test func fileOfAnotherStays() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        var first: Listener? = try Listener(path: path)
        _ = unlink(path)
        let second = try Listener(path: path)
        withExtendedLifetime(first) {}
        first = nil
        _ = try FrontendSession(connectingTo: path)
        #expect(try second.acceptConnection() != nil)
    }

    @Test func staleFileIsReplaced() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        do {
            let dead = try makeUnixSocket()
            try bindUnixSocket(dead.rawValue, to: path)
        }
        let listener = try Listener(path: path)
        #expect(try directory.names() == ["vfs.sock"])
        _ = try FrontendSession(connectingTo: path)
        #expect(try listener.acceptConnection() != nil)
    }

    @Test func liveSocketIsNotReplaced() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        let listener = try Listener(path: path)
        let refusal = try #require(error(path))
        #expect(refusal.reason == "another process listens there")
        #expect(!refusal.hint.isEmpty)
        // The probe that connected and left harms nothing.
        let probe = try #require(try listener.acceptConnection())
        #expect(throws: VhostUserError.disconnected) { _ = try probe.receive(timeout: 1000) }
        _ = try FrontendSession(connectingTo: path)
        #expect(try listener.acceptConnection() != nil)
    }

    @Test func listenerWithAFullQueueIsAlive() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        let busy = try makeUnixSocket()
        try bindUnixSocket(busy.rawValue, to: path)
        let number = busy.rawValue
        _ = try systemCall { listen(number, 0) }
        let waiting = try makeUnixSocket(nonblocking: true)
        try connectUnixSocket(waiting.rawValue, to: path)
        #expect(error(path)?.reason == "another process listens there")
    }

    @Test func otherFilesAreNotReplaced() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/file"
        #expect(FileManager.default.createFile(atPath: path, contents: Data("keep".utf8)))
        #expect(error(path)?.reason == "the path is taken by something that is not a socket")
        #expect(error(directory.path)?.reason == "the path is taken by something that is not a socket")
        #expect(FileManager.default.contents(atPath: path) == Data("keep".utf8))
    }

    @Test func longestPath() throws {
        let directory = try TemporaryDirectory()
        let longest =
            directory.path + "/" + String(repeating: "s", count: 107 - directory.path.utf8.count - 1)
        let listener = try Listener(path: longest)
        _ = try FrontendSession(connectingTo: longest)
        #expect(try listener.acceptConnection() != nil)
        let refusal = try #require(error(longest + "s"))
        #expect(refusal.reason == "the path has 108 bytes")
        #expect(refusal.hint.contains("107"))
        #expect(throws: Errno.ENAMETOOLONG) { _ = try FrontendSession(connectingTo: longest + "s") }
    }

    @Test func oneLetterName() throws {
        let directory = try TemporaryDirectory()
        let listener = try Listener(path: directory.path + "/v")
        #expect(try directory.names() == ["v"])
        _ = listener
    }

    @Test func missingDirectory() throws {
        let directory = try TemporaryDirectory()
        let refusal = try #require(error(directory.path + "/none/vfs.sock"))
        #expect(refusal.reason == "No such file or directory")
        #expect(refusal.hint == "make its directory first")
        #expect(error("")?.reason != nil)
        #expect(error(directory.path + "/")?.reason != nil)
    }

    @Test func groupMayConnect() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        let own = getgid()
        let record = try #require(getgrgid(own))
        let listener = try Listener(path: path, group: String(cString: record.pointee.gr_name))
        let result = try status(path)
        #expect(result.st_mode == S_IFSOCK | 0o660)
        #expect(result.st_gid == own)
        _ = listener
        #expect(error(path + "2", group: "no such group")?.reason == "no such group")
        #expect(try directory.names() == ["vfs.sock"])
    }

    @Test func twoDaemonsThatFoundTheSameStaleFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        do {
            let dead = try makeUnixSocket()
            try bindUnixSocket(dead.rawValue, to: path)
        }
        let stale = try #require(try SocketFile.stale(at: path))
        let winner = try Listener(path: path)
        let loser = try makeUnixSocket()
        #expect(throws: Errno.EADDRINUSE) {
            _ = try SocketFile.publish(loser.rawValue, at: path, group: nil, replacing: stale)
        }
        let third = try makeUnixSocket()
        #expect(throws: Errno.EADDRINUSE) {
            _ = try SocketFile.publish(third.rawValue, at: path, group: nil, replacing: nil)
        }
        #expect(try directory.names() == ["vfs.sock"])
        _ = try FrontendSession(connectingTo: path)
        #expect(try winner.acceptConnection() != nil)
    }

    @Test func inheritedSocket() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/vfs.sock"
        let socket = try makeUnixSocket()
        try bindUnixSocket(socket.rawValue, to: path)
        let number = socket.rawValue
        _ = try systemCall { listen(number, 1) }
        do {
            let listener = try Listener(inherited: try socket.duplicate().release())
            #expect(try listener.acceptConnection() == nil)
            _ = try FrontendSession(connectingTo: path)
            #expect(try listener.acceptConnection() != nil)
        }
        #expect(try directory.names() == ["vfs.sock"])  // not ours to remove
    }

    @Test func inheritedDescriptorOfAnotherKind() throws {
        let unbound = try makeUnixSocket()
        let directory = try TemporaryDirectory()
        let file = OwnedDescriptor(adopting: try systemCall { open(directory.path, O_RDONLY | O_CLOEXEC) })
        let datagram = OwnedDescriptor(
            adopting: try systemCall {
                socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            })
        let internet = OwnedDescriptor(
            adopting: try systemCall {
                socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            })
        for number in [unbound.rawValue, file.rawValue, datagram.rawValue, internet.rawValue, -1, 1_000_000] {
            #expect(throws: StartupError.self) { _ = try Listener(inherited: number) }
        }
        // Refused is not taken over: it is still open.
        let flags = fcntl(file.rawValue, F_GETFD)
        #expect(flags >= 0)
    }
}
