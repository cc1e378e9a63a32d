// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import Glibc
import HostOS
import Synchronization

/// `conformance views`; returns the exit status.
package func runViews(_ arguments: [String]) -> Int32 {
    guard let options = ViewOptions(arguments) else {
        print(ViewOptions.usage)
        return 2
    }
    let check: ViewCheck
    do throws(Failure) { check = try ViewCheck(options) } catch {
        print("conformance: views: \(error)")
        return 2
    }
    let failure = check.run()
    let counts = check.counts
    if let failure { print("STALE: \(failure)") }
    print(
        "views: \(options.views.count) ways, \(counts.operations) operations (\(counts.changes) changes, "
            + "\(counts.onHost) of them on the host): \(failure == nil ? "nothing stale" : "STALE")")
    return failure == nil ? 0 : 1
}

/// Many threads that change and look at one directory by several ways.
package final class ViewCheck: Sendable {
    private let options: ViewOptions
    private let fields: [Guarded<FieldState>]
    private let registers: [Register]
    private let failure = Mutex<Failure?>(nil)
    private let operations = Atomic<Int>(0)
    private let changes = Atomic<Int>(0)
    private let onHost = Atomic<Int>(0)

    private struct FieldState {
        var field: Field
        var barrier: Barrier?
    }

    package struct Counts: Equatable, Sendable {
        package var operations: Int
        package var changes: Int
        package var onHost: Int
    }

    package var counts: Counts {
        Counts(
            operations: min(operations.load(ordering: .relaxed), options.operations),
            changes: changes.load(ordering: .relaxed), onHost: onHost.load(ordering: .relaxed))
    }

    /// Makes what is changed, by the first way.
    package init(_ options: ViewOptions) throws(Failure) {
        self.options = options
        let table: VersionTable?
        do throws(StartupError) {
            table = if let path = options.table { try VersionTable(existing: path) } else { nil }
        } catch {
            throw Failure("\(error)")
        }
        var fields: [Guarded<FieldState>] = []
        var registers: [Register] = []
        for index in 0..<2 * options.threads {
            let name = "field.\(getpid()).\(index)"
            let field = Field(name)
            try field.make(in: options.views[0])
            let barrier = table.map { Barrier($0, "barrier.\(getpid()).\(index)") }
            fields.append(Guarded(FieldState(field: field, barrier: barrier)))
        }
        for index in 0..<4 {
            let register = Register("register.\(getpid()).\(index)", isSize: index % 2 == 0)
            try register.make(in: options.views[0])
            registers.append(register)
        }
        self.fields = fields
        self.registers = registers
    }

    /// Returns what was wrong.
    package func run() -> Failure? {
        var threads: [HostOS.Thread] = []
        for index in 0..<options.threads {
            do throws(Errno) {
                threads.append(try HostOS.Thread(name: "views") { self.work(index) })
            } catch {
                return Failure("start a thread: \(describe(error))")
            }
        }
        for thread in threads { thread.join() }
        return failure.withLock { $0 }
    }

    private func work(_ index: Int) {
        var random = SplitMix(seed: options.seed &+ UInt64(index) &* 0x9e37_79b9)
        do throws(Failure) {
            while failure.withLock({ $0 == nil }),
                operations.add(1, ordering: .relaxed).newValue <= options.operations
            {
                try step(&random)
            }
        } catch {
            let found = error
            failure.withLock { $0 = $0 ?? found }
        }
    }

    private func step(_ random: inout SplitMix) throws(Failure) {
        let view = options.views.randomElement(using: &random) ?? ""
        let isChange = Int.random(in: 0..<5, using: &random) < 2
        if Int.random(in: 0..<3, using: &random) == 0 {
            let register = registers[Int.random(in: 0..<registers.count, using: &random)]
            if isChange {
                if try register.write(by: view) { changes.add(1, ordering: .relaxed) }
            } else {
                try register.read(by: view)
            }
            return
        }
        let isHost = isChange && options.host != nil && Int.random(in: 0..<20, using: &random) == 0
        let field = fields[Int.random(in: 0..<fields.count, using: &random)]
        try field.withLock { (state) throws(Failure) in
            guard isChange else { return try state.field.look(by: view, &random) }
            changes.add(1, ordering: .relaxed)
            guard isHost, let host = options.host else { return try state.field.change(by: view, &random) }
            onHost.add(1, ordering: .relaxed)
            try state.field.change(by: host, &random)
            try state.barrier?.pass(host: host)
        }
    }
}

/// A mutex that an array can hold.
private final class Guarded<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }

    func withLock(_ body: (inout Value) throws(Failure) -> Void) throws(Failure) {
        try mutex.withLock { (value) throws(Failure) in try body(&value) }
    }
}
