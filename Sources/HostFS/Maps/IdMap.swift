// SPDX-License-Identifier: Apache-2.0

/// Ids that are next to each other, and what becomes of them on the other side. Never −1, which is no id.
struct IdRange: Equatable, Sendable {
    enum Fate: Equatable, Sendable {
        /// The first becomes this one, the next the next.
        case shifted(UInt32)
        /// All become this one.
        case squashed(UInt32)
        /// Nobody may use them.
        case forbidden
    }
    let first: UInt32
    /// At least `first`, at most 0xfffffffe.
    let last: UInt32
    let fate: Fate
}

/// What becomes of user ids, or of group ids, between guest and host (`--translate-uid`, `--translate-gid`).
///
/// The two directions have nothing to do with each other, unless a rule names both. What no range names stays as it is.
package struct IdMap: Equatable, Sendable {
    /// By their first id, without overlap.
    let toHost: [IdRange]
    let toGuest: [IdRange]

    package init() {
        toHost = []
        toGuest = []
    }

    init(toHost: [IdRange], toGuest: [IdRange]) {
        self.toHost = toHost.sorted { $0.first < $1.first }
        self.toGuest = toGuest.sorted { $0.first < $1.first }
    }

    package var isIdentity: Bool { toHost.isEmpty && toGuest.isEmpty }
}

/// A map as one worker looks ids up in it: memory of its own, so that a look costs no reference count. Without a map it costs
/// one branch.
@safe package struct IdTable: ~Copyable {
    /// Those of the guest, then those of the host.
    private let ranges: UnsafeMutableBufferPointer<IdRange>
    private let guestCount: Int
    let isIdentity: Bool

    package init(_ map: IdMap) {
        let all = map.toHost + map.toGuest
        unsafe ranges = .allocate(capacity: all.count)
        _ = unsafe ranges.initialize(fromContentsOf: all)
        guestCount = map.toHost.count
        isIdentity = map.isIdentity
    }

    deinit { unsafe ranges.deallocate() }

    /// The host's id for one of the guest; nil if the guest may not use it.
    package func hostID(_ id: UInt32) -> UInt32? {
        isIdentity ? id : unsafe look(up: id, ranges[..<guestCount])
    }

    /// The guest's id for one of the host.
    package func guestID(_ id: UInt32) -> UInt32 {
        // Nothing of the host is forbidden.
        isIdentity ? id : unsafe look(up: id, ranges[guestCount...]) ?? id
    }

    private func look(up id: UInt32, _ ranges: Slice<UnsafeMutableBufferPointer<IdRange>>) -> UInt32? {
        var (low, high) = unsafe (ranges.startIndex, ranges.endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            let range = unsafe ranges[middle]
            if id < range.first {
                high = middle
            } else if id > range.last {
                low = middle + 1
            } else {
                switch range.fate {
                case .shifted(let target): return target &+ (id &- range.first)
                case .squashed(let target): return target
                case .forbidden: return nil
                }
            }
        }
        return id
    }
}
