// SPDX-License-Identifier: Apache-2.0
import FuseWire
import HostOS
import Virtqueue

/// What a guest does wrong, in the log: the first of each kind and every tenfold, because a guest can repeat it at will.
enum RefusalLog {
    private static let malformed = events(WireError.self)
    private static let broken = events(RingFault.self)

    private static func events<Kind: CaseIterable & Hashable>(_: Kind.Type) -> [Kind: RecurringEvent] {
        Dictionary(uniqueKeysWithValues: Kind.allCases.map { ($0, RecurringEvent()) })
    }

    static func note(_ refusal: WireError) {
        // A guest probes for operations it does not know to be missing; that is how FUSE negotiates them.
        guard let event = malformed[refusal] else { return }
        Log.once(
            event, refusal == .unknownOpcode ? .debug : .warning, "refused a malformed request: \(refusal)")
    }

    static func note(_ fault: RingFault, queue: Int) {
        guard let event = broken[fault] else { return }
        Log.once(event, .error, "queue \(queue) stopped: the guest's ring is broken: \(fault)")
    }
}
