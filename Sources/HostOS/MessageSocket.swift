// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Why a message could not be sent or received. The stream is useless then.
package enum MessageFailure: Error, Equatable, Sendable {
    /// The peer has gone.
    case ended
    case timedOut
    /// More descriptors came than any message of the protocol has.
    case tooManyDescriptors
    case system(Errno)
}

/// A connected Unix stream socket for messages that may carry descriptors.
///
/// It keeps no state between calls, so one thread may receive while another sends. Whoever reads decides by deadlines how long
/// a peer can keep it waiting.
package final class MessageSocket: Sendable {
    /// For poll(2); reading from it by other means loses messages.
    package let descriptor: OwnedDescriptor
    private let maximumDescriptorCount: Int

    /// Takes over a connected socket and makes it non-blocking.
    ///
    /// - Parameter maximumDescriptorCount: the most that one message carries.
    package init(adopting descriptor: consuming OwnedDescriptor, maximumDescriptorCount: Int) throws(Errno) {
        let number = descriptor.rawValue
        let flags = try systemCall { vfs_fcntl_int(number, F_GETFL, 0) }
        _ = try systemCall { vfs_fcntl_int(number, F_SETFL, flags | O_NONBLOCK) }
        self.descriptor = descriptor
        self.maximumDescriptorCount = maximumDescriptorCount
    }

    /// Sends `bytes`, with `descriptors` attached to the first of them; they stay the caller's and may be closed when this returns.
    package func send(
        _ bytes: [UInt8], descriptors: [Int32] = [], until deadline: Deadline
    ) throws(MessageFailure) {
        let socket = descriptor.rawValue
        var sent = 0
        while sent < bytes.count {
            let attached = sent == 0 ? descriptors : []
            let count: Int
            do throws(Errno) {
                count = try systemCall {
                    // SAFETY: both buffers outlive the call, and the counts are theirs; sent < bytes.count.
                    unsafe bytes.withUnsafeBytes { all in
                        unsafe attached.withUnsafeBufferPointer { numbers in
                            unsafe vfs_send_fds(
                                socket, all.baseAddress?.advanced(by: sent), all.count - sent,
                                numbers.baseAddress,
                                Int32(truncatingIfNeeded: numbers.count))
                        }
                    }
                }
            } catch .EAGAIN {
                if waitWritable(socket, until: deadline) { continue }
                throw .timedOut
            } catch {
                throw error == .EPIPE || error == .ECONNRESET ? .ended : .system(error)
            }
            sent += count
        }
    }

    /// Reads until `bytes` has `target` bytes; the descriptors that come with them are added to `descriptors`.
    package func fill(
        _ bytes: inout [UInt8], to target: Int, _ descriptors: inout ReceivedDescriptors,
        until deadline: Deadline
    ) throws(MessageFailure) {
        while bytes.count < target {
            guard waitReadable(descriptor.rawValue, until: deadline) else { throw .timedOut }
            do throws(Errno) {
                let more = try receiveSome(upTo: target - bytes.count, &descriptors)
                if more.isEmpty { throw .ECONNRESET }
                bytes += more
            } catch .EAGAIN {
                continue
            } catch {
                throw error == .ECONNRESET ? .ended : .system(error)
            }
            guard descriptors.count <= maximumDescriptorCount else { throw .tooManyDescriptors }
        }
    }

    /// One recvmsg(2): some bytes, none at the end of the stream; what descriptors came are in `descriptors`, one more
    /// than allowed when the message had too many.
    private func receiveSome(
        upTo limit: Int, _ descriptors: inout ReceivedDescriptors
    ) throws(Errno) -> [UInt8] {
        let socket = descriptor.rawValue
        var numbers = [Int32](repeating: -1, count: maximumDescriptorCount + 1)
        var numberCount: Int32 = 0
        var truncated: Int32 = 0
        var bytes = [UInt8](repeating: 0, count: limit)
        let capacity = Int32(numbers.count)
        let count = try systemCall {
            // SAFETY: both buffers outlive the call, and the counts are theirs.
            unsafe bytes.withUnsafeMutableBytes { space in
                unsafe numbers.withUnsafeMutableBufferPointer { fds in
                    unsafe vfs_receive_fds(
                        socket, space.baseAddress, limit, 0, fds.baseAddress, capacity, &numberCount,
                        &truncated)
                }
            }
        }
        descriptors.adopt(numbers.prefix(Int(numberCount)))
        if truncated != 0, descriptors.count <= maximumDescriptorCount { throw .EMFILE }  // ours ran out
        return Array(bytes.prefix(count))
    }
}
