// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Synchronization

/// How many requests of each opcode one worker has handled. Only that worker counts, without a lock; others may look.
public final class RequestCounts: Sendable {
    /// By opcode; 0 is for all that have no name.
    private let counts = InlineArray<64, Atomic<UInt64>> { _ in Atomic(0) }

    public init() {}

    /// A load and a store, not an atomic addition: there is one writer.
    func count(_ opcode: Opcode?) {
        guard let index = index(of: opcode) else { return }
        counts[index].store(counts[index].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    public subscript(opcode: Opcode?) -> UInt64 {
        index(of: opcode).map { counts[$0].load(ordering: .relaxed) } ?? 0
    }

    /// Begins again. While the worker has nothing to do.
    func reset() {
        for index in counts.indices { counts[index].store(0, ordering: .relaxed) }
    }

    private func index(of opcode: Opcode?) -> Int? {
        let index = Int(opcode?.rawValue ?? 0)
        return index < counts.count ? index : nil
    }
}

extension FuseSession {
    /// What the workers have handled since the last call, for people: "12 requests: lookup 7, read 5"; nil if nothing. While
    /// no ring runs.
    public func takeRequestSummary() -> String? {
        let workers = countedWorkers
        let names: [Opcode?] = Opcode.allCases + [nil]
        let sums = names.map { name in (name: name, count: workers.reduce(0) { $0 &+ $1[name] }) }
            .filter { $0.count > 0 }.sorted { $0.count > $1.count }
        for worker in workers { worker.reset() }
        if sums.isEmpty { return nil }
        let parts = sums.map { sum in "\(sum.name.map { "\($0)" } ?? "unknown") \(sum.count)" }
        return "\(sums.reduce(0) { $0 &+ $1.count }) requests: \(parts.joined(separator: ", "))"
    }
}
