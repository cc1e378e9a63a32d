// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// An io_uring that carries out one request, in a thread that the kernel makes for it.
final class Ring: @unchecked Sendable {
    // SAFETY: @unchecked because of the pointers; one process and one thread use it.
    private let ring: Int32
    private var parameters = io_uring_params()
    private let shared: UnsafeMutableRawPointer
    private let entries: UnsafeMutableRawPointer

    /// nil: this host has none.
    init?() {
        ring = vfs_uring_setup(4, &parameters)
        guard ring >= 0 else { return nil }
        shared = mmap(nil, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, 0)
        entries = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, 0x1000_0000)
    }

    /// The offsets are those of struct io_uring_sqe. False: it fails.
    private func carryOut(opcode: UInt8, file: Int32, offset: UInt64, address: UInt64, flags: UInt32) -> Bool
    {
        entries.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
        entries.storeBytes(of: opcode, as: UInt8.self)
        entries.storeBytes(of: file, toByteOffset: 4, as: Int32.self)
        entries.storeBytes(of: offset, toByteOffset: 8, as: UInt64.self)
        entries.storeBytes(of: address, toByteOffset: 16, as: UInt64.self)
        entries.storeBytes(of: flags, toByteOffset: 28, as: UInt32.self)
        shared.storeBytes(of: 0, toByteOffset: Int(parameters.sq_off.array), as: UInt32.self)
        let tail = shared.load(fromByteOffset: Int(parameters.sq_off.tail), as: UInt32.self)
        vfs_store_release32(shared + Int(parameters.sq_off.array) + 4 * Int(tail & 3), 0)
        vfs_store_release32(shared + Int(parameters.sq_off.tail), tail + 1)
        guard vfs_uring_enter(ring, 1, 0) == 1 else { return false }
        // The request after this one has the same completion to take: their heads follow each other.
        let head = shared.load(fromByteOffset: Int(parameters.cq_off.head), as: UInt32.self)
        while vfs_load_acquire32(shared + Int(parameters.cq_off.tail)) == head { usleep(100) }
        // struct io_uring_cqe: 16 bytes, the result after user_data.
        let place = Int(parameters.cq_off.cqes) + 16 * Int(head & (parameters.cq_entries - 1)) + 8
        let result = shared.load(fromByteOffset: place, as: Int32.self)
        vfs_store_release32(shared + Int(parameters.cq_off.head), head + 1)
        return result >= 0
    }

    /// IORING_OP_FTRUNCATE, Linux 6.9.
    func truncate(_ file: Int32, _ length: Int) -> Bool {
        carryOut(opcode: 55, file: file, offset: UInt64(length), address: 0, flags: 0)
    }

    /// IORING_OP_OPENAT.
    func open(_ path: String, _ flags: Int32) -> Bool {
        path.withCString {
            carryOut(
                opcode: 18, file: AT_FDCWD, offset: 0, address: UInt64(UInt(bitPattern: $0)),
                flags: UInt32(flags))
        }
    }
}
