// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

@Suite struct OpenReadTests {
    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func aFileIsOpenedReadAndReleased(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        test.write("file", "hello")
        let (node, handle) = try test.opened("file", O_RDONLY)
        #expect(try test.read(node, handle, [3, 0, 10]) == Array("hello".utf8))
        #expect(try test.read(node, handle, at: 4, [10]) == Array("o".utf8))
        #expect(try test.read(node, handle, at: 5, [10]) == [])
        #expect(try test.read(node, handle, at: 500, [10]) == [])
        #expect(try test.read(node, handle, []) == [])
        try test.release(node, handle)
        #expect(failure { try test.release(node, handle) } == .EBADF)
        #expect(failure { try test.read(node, handle, [1]) } == .EBADF)
    }

    @Test func handlesAreCheckedAgainstTheirNode() throws {
        let test = try TestShare()
        test.write("a", "a")
        test.write("b", "b")
        let (a, handle) = try test.opened("a", O_RDONLY)
        let b = try test.node("b")
        #expect(failure { try test.read(b, handle, [1]) } == .EBADF)
        #expect(failure { try test.read(a, handle ^ 1 << 40, [1]) } == .EBADF)
        #expect(failure { try test.read(a, .max, [1]) } == .EBADF)
        #expect(failure { try test.release(b, handle) } == .EBADF)
        #expect(failure { try test.openNode(NodeID(rawValue: 0xdead_0001), O_RDONLY) } == .ESTALE)
        #expect(try test.read(a, handle, [1]) == [0x61])
    }

    @Test func onlyRegularFilesAreOpened() throws {
        let test = try TestShare()
        Glibc.mkdir(test.host("d"), 0o755)
        Glibc.symlink("/etc/passwd", test.host("l"))
        mkfifo(test.host("p"), 0o644)
        #expect(failure { try test.opened("d", O_RDONLY) } == .EISDIR)
        #expect(failure { try test.opened("l", O_RDONLY) } == .ELOOP)
        #expect(failure { try test.opened("p", O_RDWR) } == .ENXIO)
    }

    /// T2: a device of the share must never be opened on the host, not even one that took the place of a file.
    @Test(.enabled(if: isRoot, "device nodes need root"), arguments: [FileHandlePolicy.prefer, .never])
    func devicesAreNotOpened(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        #expect(Glibc.mknod(test.host("null"), S_IFCHR | 0o666, 0x103) == 0)
        #expect(failure { try test.opened("null", O_RDONLY) } == .ENXIO)
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(Glibc.rename(test.host("null"), test.host("file")) == 0)
        do {
            let handle = try test.openNode(node, O_RDONLY).handle
            #expect(try test.read(node, handle, [10]) == Array("hello".utf8))  // the old file
        } catch {
            #expect(error as? Errno == .ESTALE)
        }
    }

    @Test(arguments: [
        (CachePolicy.never, OpenOutFlags.directIO | OpenOutFlags.parallelDirectWrites),
        (.metadata, OpenOutFlags.directIO | OpenOutFlags.parallelDirectWrites),
        (.auto, 0),
        (.always, OpenOutFlags.keepCache),
    ])
    func theReplySaysHowToCache(cache: CachePolicy, flags: UInt32) throws {
        let test = try TestShare { $0.cache = cache }
        test.write("file")
        let node = try test.node("file")
        #expect(try test.openNode(node, O_RDONLY).openFlags == flags | OpenOutFlags.noFlush)
        #expect(try test.create("new", O_RDWR).open.openFlags == flags | OpenOutFlags.noFlush)
    }

    @Test func locksAndWritebackNeedFlush() throws {
        let locks = try TestShare { $0.posixLock = true }
        _ = try locks.initialize()
        locks.write("file")
        #expect(try locks.openNode(try locks.node("file"), O_RDONLY).openFlags == 0)
        let pages = try TestShare { $0.writeback = true }
        _ = try pages.initialize()
        pages.write("file")
        #expect(try pages.openNode(try pages.node("file"), O_RDONLY).openFlags == 0)
    }

    @Test func flagsAreSanitised() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let noise =
            O_CREAT | O_EXCL | O_NOCTTY | O_NOFOLLOW | O_APPEND | O_DIRECT | O_NOATIME | O_DIRECTORY | O_ASYNC
        let (node, handle) = try test.opened("file", O_RDWR | O_DSYNC | noise)
        let kept = try test.hostFlags(node, handle)
        #expect(kept & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC | O_PATH) == 0)
        #expect(kept & O_ACCMODE == O_RDWR && kept & O_DSYNC != 0)
        #expect(try test.read(node, handle, [9]) == Array("hello".utf8))
        #expect(failure { try test.openNode(node, O_ACCMODE) } == .EINVAL)
    }

    @Test func optionsLetFlagsThrough() throws {
        let test = try TestShare {
            $0.allowDirectIO = true
            $0.preserveNoatime = true
        }
        test.write("file", "hello")
        let (node, handle) = try test.opened("file", O_RDONLY | O_DIRECT | O_NOATIME)
        let kept = try test.hostFlags(node, handle)
        #expect(kept & (O_DIRECT | O_NOATIME) == O_DIRECT | O_NOATIME)
    }

    /// T11: the guest reads the pages around what it writes.
    @Test func writebackMakesWritersReaders() throws {
        let test = try TestShare { $0.writeback = true }
        _ = try test.initialize()
        test.write("file", "hello")
        let (node, handle) = try test.opened("file", O_WRONLY | O_APPEND)
        #expect(try test.hostFlags(node, handle) & (O_ACCMODE | O_APPEND) == O_RDWR)
        #expect(try test.read(node, handle, [5]) == Array("hello".utf8))
    }

    /// T16: what is cut loses set-id bits when the guest says so, and only then.
    @Test(.enabled(if: isRoot, "dropping a capability needs to have it"), arguments: [true, false])
    func truncationDropsSetIDWhenAsked(kill: Bool) throws {
        let test = try TestShare()
        test.write("file", "hello", mode: 0o6755)
        let node = try test.node("file")
        _ = try test.openNode(node, O_WRONLY | O_TRUNC, kill: kill)
        #expect(test.contents("file") == [])
        #expect(test.status("file").st_mode & 0o7777 == (kill ? 0o755 : 0o6755))
        // The capability is back for the next request.
        test.write("next", "x", mode: 0o4755)
        let (next, handle) = try test.opened("next", O_WRONLY)
        _ = try test.write(next, handle, [1])
        #expect(test.status("next").st_mode & 0o7777 == 0o4755)
    }

    @Test func moreVectorsThanOneCallTakes() throws {
        let test = try TestShare()
        let bytes = (0..<3001).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        test.write("file")
        let (node, handle) = try test.opened("file", O_RDWR)
        let lengths = [Int](repeating: 2, count: 1500) + [1]
        #expect(try test.write(node, handle, bytes, in: lengths) == 3001)
        #expect(try test.read(node, handle, lengths) == bytes)
        #expect(try test.read(node, handle, at: 1000, lengths) == Array(bytes[1000...]))
    }

    /// A size at which a short read is asked a second time.
    @Test func endsAtASectorBoundary() throws {
        let test = try TestShare()
        test.write("file", String(repeating: "x", count: 1024))
        let (node, handle) = try test.opened("file", O_RDONLY)
        #expect(try test.read(node, handle, [4096]).count == 1024)
        #expect(try test.read(node, handle, at: 512, [100, 4096]).count == 512)
    }

    @Test func offsetsBeyondTheHostsAreRefused() throws {
        let test = try TestShare()
        test.write("file", "hello")
        let (node, handle) = try test.opened("file", O_RDWR)
        #expect(failure { try test.read(node, handle, at: 1 << 63, [1]) } == .EINVAL)
        #expect(failure { try test.write(node, handle, at: .max, [1]) } == .EINVAL)
    }

    @Test func dataAndHolesAreFound() throws {
        let test = try TestShare()
        test.write("file")
        truncate(test.host("file"), 1 << 20)
        let (node, handle) = try test.opened("file", O_RDWR)
        _ = try test.write(node, handle, at: 1 << 16, [1])
        func seek(_ offset: UInt64, _ whence: Int32) throws -> UInt64 {
            var arguments = LseekIn()
            arguments.handle = handle
            arguments.offset = offset
            arguments.whence = UInt32(bitPattern: whence)
            return try test.request { fs in try fs.lseek(.root, nodeID: node, arguments) }
        }
        #expect(try seek(0, SEEK_DATA) == 1 << 16)
        #expect(try seek(0, SEEK_HOLE) == 0)
        #expect(try seek(1 << 16, SEEK_HOLE) > 1 << 16)
        #expect(failure { try seek(1 << 20, SEEK_DATA) } == .ENXIO)
        #expect(failure { try seek(0, SEEK_SET) } == .EINVAL)
        #expect(failure { try seek(0, -1) } == .EINVAL)
        #expect(failure { try seek(.max, SEEK_DATA) } == .EINVAL)
    }

    @Test func flushChecksItsHandle() throws {
        let test = try TestShare()
        test.write("file")
        let (node, handle) = try test.opened("file", O_RDONLY)
        var arguments = FlushIn()
        arguments.handle = handle
        try test.request { fs in try fs.flush(.root, nodeID: node, arguments) }
        arguments.handle = 0xbad
        #expect(test.error { fs in try fs.flush(.root, nodeID: node, arguments) } == .EBADF)
    }

    @Test func releasedHandlesGiveTheirDescriptorsBack() throws {
        let test = try TestShare()
        test.write("file")
        let node = try test.node("file")
        let (before, held) = (test.share.guestDescriptors, try test.openNode(node, O_RDONLY).handle)
        for _ in 0..<100 { try test.release(node, try test.openNode(node, O_RDONLY).handle) }
        try test.release(node, held)
        #expect(test.share.guestDescriptors == before)
    }
}
