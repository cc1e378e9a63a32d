// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

// What the daemon and the process that makes files mappable say to each other: one record a packet, in the host's byte order.

/// The daemon's question; the file that it is about comes with it.
struct Call: BitwiseCopyable {
    enum Kind: UInt32 {
        /// Answered with the name, a number, under which the file can be opened once.
        case open = 1
        /// Answered with a `Protection`.
        case protect
        case unprotect
    }

    /// `Kind`, as it came.
    var kind: UInt32 = 0
    /// Comes back in the answer.
    var sequence: UInt32 = 0
}

struct Answer: BitwiseCopyable {
    var sequence: UInt32 = 0
    /// 0, or why not.
    var error: Int32 = 0
    /// What `Call.Kind` says; in the first answer, which nobody has asked for, a `StartStep`.
    var value: UInt64 = 0
}

/// Somebody is about to make a file shorter, and waits.
struct Announcement: BitwiseCopyable {
    var token: UInt64 = 0
    /// As in `FileKey`; 0 where that cannot be known.
    var device: UInt64 = 0
    var number: UInt64 = 0
    var length: UInt64 = 0
}

/// He may go on.
struct Acknowledgement: BitwiseCopyable {
    var token: UInt64 = 0
}

/// What the process does before it can serve, for its last words if it cannot.
enum StartStep: UInt64 {
    case descriptors = 1
    case capabilities, mount, passthrough, backing, filter
}

/// A packet, and what came with it.
struct Received<Packet: BitwiseCopyable>: ~Copyable {
    let packet: Packet
    let descriptor: OwnedDescriptor?
    /// The process that sent it, where its number is asked for and seen; else 0.
    let sender: pid_t
}

/// Sends one packet. The socket does not block: EAGAIN when the other side has not read what was sent before.
func sendPacket<Packet: BitwiseCopyable>(
    _ packet: Packet, with descriptor: Int32? = nil, to socket: Int32
) throws(Errno) {
    var number = descriptor ?? -1
    let count: Int32 = descriptor == nil ? 0 : 1
    _ = try systemCall {
        // SAFETY: both outlive the call, and the counts are theirs.
        unsafe withUnsafeBytes(of: packet) {
            unsafe vfs_send_fds(socket, $0.baseAddress, $0.count, &number, count)
        }
    }
}

/// Takes one packet. EAGAIN: there is none; ECONNRESET: the other side has gone; EPROTO: it has another length.
func receivePacket<Packet: BitwiseCopyable>(
    as empty: Packet, from socket: Int32
) throws(Errno) -> Received<Packet> {
    var packet = empty
    var (number, sender): (Int32, pid_t) = (-1, 0)
    let count = try systemCall {
        // SAFETY: any bytes are a packet; the length is the buffer's.
        unsafe withUnsafeMutableBytes(of: &packet) {
            unsafe vfs_receive_from(socket, $0.baseAddress, $0.count, &number, &sender)
        }
    }
    let descriptor = number < 0 ? nil : OwnedDescriptor(adopting: number)
    guard count > 0 else { throw .ECONNRESET }
    guard count == MemoryLayout<Packet>.size else { throw .EPROTO }
    return Received(packet: packet, descriptor: descriptor, sender: sender)
}
