// SPDX-License-Identifier: Apache-2.0

// What the requests that pass through tell about files.
extension RangeTable {
    /// Attributes of a file have come.
    ///
    /// - Parameter moment: `clock` when they were asked for.
    mutating func note(_ id: UInt64, size: UInt64, isDAX: Bool, askedAt moment: UInt64, now: Int64) {
        guard let node = nodes[id] else {
            if !isDAX { return }
            let node = MappedNode(id)
            node.size = size
            node.trustedUntil = now + Self.trustNanoseconds
            nodes[id] = node
            return
        }
        // What was asked before a change ended may be from before it.
        node.size = node.changes > 0 || node.changedAt > moment ? min(node.size, size) : size
        node.trustedUntil = now + Self.trustNanoseconds
        node.isDAX = isDAX
        if !isDAX {
            doomAll(of: node)
            settle(node)
        }
    }

    /// Our own question for attributes has been answered, perhaps by an error.
    mutating func attributesEnded(_ id: UInt64) { nodes[id]?.isAsked = false }

    /// A request that may change a file is on its way; false when the file is none of ours.
    mutating func changeBegan(_ id: UInt64, cutsToZero: Bool = false) -> Bool {
        guard let node = nodes[id] else { return false }
        node.changes += 1
        if cutsToZero { node.size = 0 }
        return true
    }

    /// It has been answered.
    ///
    /// - Parameters:
    ///   - size: what the answer says, if it does.
    ///   - end: where the bytes end that it has written, if so.
    mutating func changeEnded(_ id: UInt64, size: UInt64? = nil, writtenTo end: UInt64 = 0) {
        clock += 1
        guard let node = nodes[id], node.changes > 0 else { return }
        node.changes -= 1
        node.changedAt = clock
        if let size { node.size = node.changes == 0 ? size : min(node.size, size) }
        node.size = max(node.size, end)
        settle(node)
    }

    /// The kernel forgets a file. True: the daemon is told later by a task, as something of it is mapped.
    mutating func forget(_ id: UInt64, count: UInt64) -> Bool {
        guard let node = nodes[id] else { return false }
        node.isDAX = false
        if node.ranges.isEmpty {
            settle(node)
            return false
        }
        node.forgets = node.forgets.addingReportingOverflow(count).partialValue
        doomAll(of: node)
        return true
    }
}
