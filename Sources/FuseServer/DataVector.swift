// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// Where the bulk data of a READ or WRITE lies: guest pages, as an array laid out like the kernel's `struct iovec`.
///
/// This room never touches the bytes; the file system hands the array to preadv(2) or pwritev(2).
@safe public struct DataVector {
    /// `count` × {address, length}, 16 bytes each.
    public let iovecs: UnsafeMutableRawPointer?
    public let count: Int
    /// Sum of the lengths.
    public let byteCount: Int

    public init(iovecs: UnsafeMutableRawPointer?, count: Int, byteCount: Int) {
        unsafe self.iovecs = unsafe iovecs
        self.count = count
        self.byteCount = byteCount
    }

    /// The first `limit` bytes. Shortens the last entry that is left in place, so the longer vector is spent.
    public func shortened(to limit: Int) -> DataVector {
        guard limit < byteCount, let entries = unsafe iovecs else { return self }
        var (used, room) = (0, max(0, limit))
        while used < count, room > 0 {
            // SAFETY: entry `used` is one of the `count` of the array.
            let lengthOffset = used * Self.entryByteCount + Self.lengthOffset
            let length = unsafe entries.load(fromByteOffset: lengthOffset, as: Int.self)
            unsafe entries.storeBytes(of: min(length, room), toByteOffset: lengthOffset, as: Int.self)
            room -= min(length, room)
            used += 1
        }
        return unsafe DataVector(iovecs: entries, count: used, byteCount: max(0, limit))
    }

    private static var entryByteCount: Int { 16 }
    private static var lengthOffset: Int { 8 }

    public static var empty: DataVector { unsafe DataVector(iovecs: nil, count: 0, byteCount: 0) }
}

/// Where a request's bulk data lies, which only two kinds have: for what `FuseServer.handle` needs vectors.
public enum DataPlace: Sendable {
    case none
    /// WRITE: in the request, behind `FuseServer.writeDataOffset`.
    case request
    /// READ: in the reply, behind the header.
    case reply

    /// By the first bytes of the request, as many as there are of its header.
    @inlinable public init(ofRequest prefix: UnsafeRawBufferPointer) {
        let opcodeOffset = 4
        self = .none
        guard prefix.count >= opcodeOffset + 4 else { return }
        let opcode = unsafe prefix.loadUnaligned(fromByteOffset: opcodeOffset, as: UInt32.self)
        if opcode == Opcode.write.rawValue { self = .request }
        if opcode == Opcode.read.rawValue { self = .reply }
    }
}
