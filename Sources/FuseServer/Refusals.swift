// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

extension WireError {
    /// What the guest gets for it.
    public var errno: Errno {
        switch self {
        case .oversize, .longXattrValue: .E2BIG
        case .longName: .ENAMETOOLONG
        case .badXattrName: .ERANGE
        case .badVersion: .EPROTO
        case .noSession, .noReplyRoom: .EIO
        case .unknownOpcode: .ENOSYS
        case .shortHeader, .lengthMismatch, .shortBody, .trailingBytes, .missingNUL, .badName, .badExtension,
            .badSize, .shortReplyRoom:
            .EINVAL
        }
    }
}

/// How often each kind of malformed request came, so that the worker can log the first of each kind.
public struct RefusalCounters: Sendable {
    /// One for each case of `WireError`.
    private var counts: InlineArray<17, UInt64> = .init(repeating: 0)

    public init() {}

    public subscript(kind: WireError) -> UInt64 { counts[Int(kind.rawValue)] }

    public var total: UInt64 {
        var sum: UInt64 = 0
        for index in counts.indices { sum &+= counts[index] }
        return sum
    }

    mutating func count(_ kind: WireError) { counts[Int(kind.rawValue)] &+= 1 }
}
