// SPDX-License-Identifier: Apache-2.0

/// Which objects the kernel knows, and where the version table counts their changes.
struct KnownNodes {
    struct Node {
        let slot: UInt32
        let isDirectory: Bool
        /// As the daemon counts them: one for each entry that the kernel was told.
        var lookups: UInt64
        /// When somebody last changed it, in nanoseconds; 0: the kernel has no pages from before that.
        var changed: Int64 = 0
    }

    private var nodes: [UInt64: Node] = [:]
    private var bySlot: [UInt32: [UInt64]] = [:]

    subscript(node: UInt64) -> Node? { nodes[node] }

    /// All objects that are counted in `slot`.
    func inSlot(_ slot: UInt32) -> [UInt64] { bySlot[slot] ?? [] }

    var all: Dictionary<UInt64, Node>.Keys { nodes.keys }

    /// Somebody changes it: pages that the kernel has are about to be old.
    mutating func noteChange(of number: UInt64, now: Int64) { nodes[number]?.changed = now }

    /// Whether the kernel may keep its pages when it is opened now.
    mutating func mayKeepPages(of number: UInt64, now: Int64) -> Bool {
        guard let changed = nodes[number]?.changed, changed != 0 else { return nodes[number] != nil }
        // Others that open it at this moment do not find it settled.
        if now - changed > 1_000_000_000 { nodes[number]?.changed = 0 }
        return false
    }

    /// The kernel was told of it once more.
    mutating func add(_ number: UInt64, slot: UInt32, isDirectory: Bool) {
        if nodes[number] != nil {
            nodes[number]?.lookups &+= 1
        } else {
            nodes[number] = Node(slot: slot, isDirectory: isDirectory, lookups: 1)
            bySlot[slot, default: []].append(number)
        }
    }

    /// FORGET.
    mutating func forget(_ number: UInt64, count: UInt64) {
        guard let node = nodes[number] else { return }
        guard node.lookups <= count else {
            nodes[number]?.lookups -= count
            return
        }
        nodes[number] = nil
        bySlot[node.slot]?.removeAll { $0 == number }
        if bySlot[node.slot]?.isEmpty == true { bySlot[node.slot] = nil }
    }
}
