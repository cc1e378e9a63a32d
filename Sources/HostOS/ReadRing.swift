// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Reads that go on while their thread does something else: an io_uring(7) of one thread.
///
/// The kernel keeps what it has finished to itself until it is asked (DEFER_TASKRUN), so a read interrupts nobody. poll(2)
/// of the ring does not tell about that, an eventfd does. Nothing here allocates after `init`.
///
/// A seccomp filter does not see what is asked of a ring, so this one is restricted for good: it reads, and does nothing else.
@safe public final class ReadRing {
    /// The most reads under way.
    public static let capacity = 64

    public struct Completion {
        public let token: UInt64
        /// Bytes read, or a negated errno.
        public let result: Int32
    }

    private let descriptor: OwnedDescriptor
    private let rings: Mapping
    private let entries: Mapping
    private let offsets: io_uring_params
    /// Where the next request goes, and the next result lies; both wrap.
    private var submissionTail: UInt32 = 0
    private var completionHead: UInt32 = 0
    /// Reads that were started and whose results were not taken.
    public var underWay: Int { started }
    private var started = 0

    /// - Parameter event: signalled, after `awaitCompletions`, when there is something to take.
    /// - Throws: ENOSYS or EPERM where the host does not let us have one, EINVAL before Linux 6.1.
    public init(event: Int32) throws(Errno) {
        var parameters = io_uring_params()
        parameters.flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG
            | IORING_SETUP_R_DISABLED
        let number = try systemCall { unsafe vfs_uring_setup(UInt32(Self.capacity), &parameters) }
        descriptor = OwnedDescriptor(adopting: number)
        offsets = parameters
        // Both rings in one mapping: IORING_FEAT_SINGLE_MMAP, Linux 5.4.
        let ends = (
            Int(parameters.sq_off.array) + Int(parameters.sq_entries) * MemoryLayout<UInt32>.size,
            Int(parameters.cq_off.cqes) + Int(parameters.cq_entries) * MemoryLayout<io_uring_cqe>.stride
        )
        rings = try Mapping(
            sharing: number, offset: Int(IORING_OFF_SQ_RING), byteCount: max(ends.0, ends.1))
        entries = try Mapping(
            sharing: number, offset: Int(IORING_OFF_SQES),
            byteCount: Int(parameters.sq_entries) * MemoryLayout<io_uring_sqe>.stride)
        _ = try systemCall { vfs_uring_register_event(number, event) }
        _ = try systemCall { vfs_uring_restrict_to_reads(number) }
        setWaking(false)
    }

    /// Whether the kernel signals the event.
    private func setWaking(_ wakes: Bool) {
        unsafe vfs_store_relaxed32(at(offsets.cq_off.flags), wakes ? 0 : IORING_CQ_EVENTFD_DISABLED)
    }

    private func at(_ offset: UInt32) -> UnsafeMutableRawPointer { unsafe rings.base + Int(offset) }

    // MARK: Starting

    /// Starts a read of `count` vectors (at most IOV_MAX) from `offset`. The kernel copies the vectors and keeps the file open;
    /// the memory that they name must stay until the result is taken.
    /// - Throws: EBUSY when `capacity` reads are under way, and what io_uring_enter(2) fails with: nothing was started.
    public func start(
        _ file: Int32, _ vectors: UnsafePointer<iovec>, count: Int32, at offset: Int, token: UInt64
    ) throws(Errno) {
        guard started < Self.capacity else { throw .EBUSY }
        let index = submissionTail & (offsets.sq_entries - 1)
        unsafe vfs_uring_prepare_read(
            entries.base + Int(index) * MemoryLayout<io_uring_sqe>.stride, file, vectors, UInt32(count),
            UInt64(offset), token)
        unsafe vfs_store_relaxed32(at(offsets.sq_off.array) + Int(index) * 4, index)
        unsafe vfs_store_release32(at(offsets.sq_off.tail), submissionTail &+ 1)
        do throws(Errno) { try enter(submitting: 1) } catch {
            // Taken back, if the kernel, which looks only while we are in it, has not taken it.
            guard unsafe vfs_load_acquire32(at(offsets.sq_off.head)) != submissionTail else {
                unsafe vfs_store_release32(at(offsets.sq_off.tail), submissionTail)
                throw error
            }
        }
        submissionTail &+= 1
        started += 1
    }

    private func enter(submitting count: UInt32) throws(Errno) {
        let number = descriptor.rawValue
        let taken = try systemCall { vfs_uring_enter(number, count, IORING_ENTER_GETEVENTS) }
        if taken < count { throw .EAGAIN }
    }

    // MARK: Ending

    /// There may be something to take. At most two loads. Inlined into another room it would check for exclusive access, each
    /// time that a worker looks.
    @inline(never) public var hasCompletions: Bool {
        guard started > 0 else { return false }
        return unsafe vfs_load_acquire32(at(offsets.cq_off.tail)) != completionHead
            || vfs_load_relaxed32(at(offsets.sq_off.flags)) & IORING_SQ_TASKRUN != 0
    }

    /// The result of one read that has ended; nil when there is none at the moment.
    public func next() -> Completion? {
        guard started > 0 else { return nil }
        if let completion = take() { return completion }
        guard hasCompletions else { return nil }
        setWaking(false)
        try? enter(submitting: 0)
        return take()
    }

    private func take() -> Completion? {
        guard unsafe vfs_load_acquire32(at(offsets.cq_off.tail)) != completionHead else { return nil }
        let index = completionHead & (offsets.cq_entries - 1)
        let entry = unsafe (at(offsets.cq_off.cqes) + Int(index) * MemoryLayout<io_uring_cqe>.stride).load(
            as: io_uring_cqe.self)
        completionHead &+= 1
        unsafe vfs_store_release32(at(offsets.cq_off.head), completionHead)
        started -= 1
        return Completion(token: entry.user_data, result: entry.res)
    }

    /// Has the next end of a read signal the event. Returns true when there is something to take already.
    public func awaitCompletions() -> Bool {
        guard started > 0 else { return false }
        setWaking(true)
        // What ended before that has signalled nothing. The kernel marks it (IORING_SQ_TASKRUN) and looks whether to signal
        // without a fence between, so only the kernel can tell.
        vfs_fence()
        try? enter(submitting: 0)
        return hasCompletions
    }
}
