// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@testable import Frontend

@Suite struct ReplyShapeTests {
    private func shape(_ opcode: Opcode, _ arguments: [UInt8] = [], limit: Int = 1 << 20) -> ReplyShape {
        arguments.withUnsafeBytes { ReplyShape(opcode: opcode.rawValue, arguments: $0, limit: limit) }
    }

    private func bytes<T: BitwiseCopyable>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    /// Linux 6.18 fs/fuse, the out_args of each operation; protocol.md §4.3.
    private static let fixed: [(Opcode, Int)] = [
        (.lookup, 128), (.symlink, 128), (.mknod, 128), (.mkdir, 128), (.link, 128),
        (.getattr, 104), (.setattr, 104), (.open, 16), (.opendir, 16), (.create, 144), (.tmpfile, 144),
        (.write, 8), (.copyFileRange, 8), (.copyFileRange64, 8), (.lseek, 8), (.bmap, 8), (.poll, 8),
        (.statfs, 80), (.getlk, 24), (.statx, 288),
        (.unlink, 0), (.rmdir, 0), (.rename, 0), (.rename2, 0), (.release, 0), (.releasedir, 0), (.fsync, 0),
        (.fsyncdir, 0), (.setxattr, 0), (.removexattr, 0), (.flush, 0), (.setlk, 0), (.setlkw, 0),
        (.access, 0), (.destroy, 0), (.fallocate, 0), (.syncfs, 0),
    ]
    private static let silent: [Opcode] = [.forget, .batchForget, .interrupt, .notifyReply]
    private static let refused: [Opcode] = [.initialize, .setupMapping, .removeMapping]
    private static let variable: [Opcode] = [
        .readlink, .read, .readdir, .readdirplus, .getxattr, .listxattr, .ioctl,
    ]

    @Test func everyOpcodeHasOneShape() {
        let all = Self.fixed.map(\.0) + Self.silent + Self.refused + Self.variable
        #expect(Set(all) == Set(Opcode.allCases) && all.count == Opcode.allCases.count)
        for (opcode, size) in Self.fixed { #expect(shape(opcode) == .fixed(size), "\(opcode)") }
        for opcode in Self.silent { #expect(shape(opcode) == .none, "\(opcode)") }
        for opcode in Self.refused { #expect(shape(opcode) == .refused(.ENOSYS), "\(opcode)") }
        #expect(
            [UInt8]().withUnsafeBytes { ReplyShape(opcode: 4711, arguments: $0, limit: 1) }
                == .refused(.ENOSYS))
    }

    @Test func dataIsAsLongAsItWasAskedFor() {
        var read = ReadIn()
        read.size = 4711
        for opcode in [Opcode.read, .readdir, .readdirplus] {
            #expect(shape(opcode, bytes(read)) == .variable(4711))
        }
        var xattr = GetXattrIn()
        for opcode in [Opcode.getxattr, .listxattr] {
            xattr.size = 0
            #expect(shape(opcode, bytes(xattr)) == .fixed(8), "a size query")
            xattr.size = 65536
            #expect(shape(opcode, bytes(xattr)) == .variable(65536))
        }
        var ioctl = IoctlIn()
        ioctl.outSize = 28
        #expect(shape(.ioctl, bytes(ioctl)) == .variable(16 + 28))
        #expect(shape(.readlink) == .variable(4095))
    }

    @Test func whatHasNoRoomIsRefused() {
        var read = ReadIn()
        read.size = 101
        #expect(shape(.read, bytes(read), limit: 100) == .refused(.EIO))
        read.size = 100
        #expect(shape(.read, bytes(read), limit: 100) == .variable(100))
        #expect(shape(.read, Array(bytes(read).dropLast()), limit: 100) == .refused(.EIO), "a short request")
        var ioctl = IoctlIn()
        ioctl.outSize = .max
        #expect(shape(.ioctl, bytes(ioctl)) == .refused(.EIO))
    }
}
