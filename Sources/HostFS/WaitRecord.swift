// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostOS
import Synchronization

/// Calls that may wait for a disk or a server, by what decides how long that takes.
enum Wait: Int, CaseIterable {
    /// A read of what is not in the host's page cache.
    case read
    /// O_DIRECT.
    case directIO
    case synchronize
    case synchronizeAll
    /// fallocate(2).
    case allocate
    /// copy_file_range(2).
    case copy
}

/// How long each kind of `Wait` has taken lately, for the decision whether it leaves its worker: handing a request to another
/// thread and back costs two wake-ups, which a call that is quick here (fsync on tmpfs, a clone on btrfs) never repays.
final class WaitRecord: Sendable {
    /// In nanoseconds, by `Wait.rawValue`. Nothing is known at first, and taken for slow.
    private let times = InlineArray<16, Atomic<Int64>> { _ in Atomic(.max) }

    private let knownBefore = Atomic<Bool>(true)

    /// Whether the share's file system can say that a read would wait (RWF_NOWAIT). Where it cannot (EOPNOTSUPP), or one
    /// mounted below it cannot, each read is measured.
    var areKnownBefore: Bool {
        get { knownBefore.load(ordering: .relaxed) }
        set { knownBefore.store(newValue, ordering: .relaxed) }
    }

    /// About two wake-ups of a sleeping thread on a virtual machine's CPU, where they are slowest.
    static let handOverNanoseconds: Int64 = 100_000

    /// How many bytes even a busy CPU copies from the page cache in a nanosecond. The time for that is no waiting: on tmpfs a READ
    /// of 1 MiB takes longer than `handOverNanoseconds` and waits for nothing.
    static let bytesPerNanosecond = 2

    func isWorthHandingOver(_ kind: Wait) -> Bool {
        times[kind.rawValue].load(ordering: .relaxed) > Self.handOverNanoseconds
    }

    /// A call has taken so long. One slow call counts for the next ones: the worst of them decides, and is forgotten by and
    /// by (an eighth each time).
    func note(_ kind: Wait, nanoseconds: Int64) {
        let known = times[kind.rawValue].load(ordering: .relaxed)
        times[kind.rawValue].store(
            nanoseconds >= known || known == .max ? nanoseconds : known - (known - nanoseconds) / 8,
            ordering: .relaxed)
    }
}

extension HostFS {
    /// Makes a call that may wait. Where this file system may not, and such calls have been slow: `Errno.mustWait`,
    /// so that nothing may have been changed before.
    ///
    /// - Parameter copied: how many bytes the call has copied from the page cache, by its result. That takes time too.
    func waiting<Result>(
        _ kind: Wait, copied: (Result) -> Int = { _ in 0 }, _ call: () throws(Errno) -> Result
    ) throws(Errno) -> Result {
        if !mayWait, share.waits.isWorthHandingOver(kind) { throw .mustWait }
        let began = monotonicNanoseconds()
        var copying: Int64 = 0
        defer { share.waits.note(kind, nanoseconds: max(0, monotonicNanoseconds() - began - copying)) }
        let result = try call()
        copying = Int64(copied(result) / WaitRecord.bytesPerNanosecond)
        return result
    }
}
