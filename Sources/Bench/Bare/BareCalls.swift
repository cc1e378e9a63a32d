// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The system calls on files that a test's requests cannot do without, made one after the other by this process: what is left
/// of a daemon without its queue, protocol and tables, and so what no daemon with one thread can beat.
///
/// Lanes take turns, operation by operation, each with its own file position and its own piece of shared memory, as in the
/// test itself.
package struct BareCalls {
    private let directory: String
    private let guestIsAwake: Bool

    /// - Parameters:
    ///   - directory: where each measurement makes a directory of its own.
    ///   - guestIsAwake: keep a second CPU as busy as a guest does that waits awake.
    package init(in directory: String, besideAwakeGuest guestIsAwake: Bool = false) {
        self.directory = directory
        self.guestIsAwake = guestIsAwake
    }

    /// How many operations are made between two looks at the clock.
    private static let batch = 16

    package func measure(_ script: Script, depth: Int, seconds: Double) throws(Errno) -> BareMeasurement {
        let place = try TemporaryDirectory(prefix: "virtiofs-bare.", in: directory)
        let root = OwnedDescriptor(
            adopting: try systemCall { unsafe open(place.path, O_PATH | O_DIRECTORY | O_CLOEXEC) })
        let piece = max(Int(script.dataByteCount), Script.listByteCount)
        let file = try makeMemoryFile(name: "bare", byteCount: depth * piece)
        let memory = try Mapping(sharing: file.rawValue, offset: 0, byteCount: depth * piece)
        func buffer(_ lane: Int) -> UnsafeMutableRawBufferPointer {
            // SAFETY: a piece for each lane; the mapping outlives the lanes.
            unsafe UnsafeMutableRawBufferPointer(start: memory.base + lane * piece, count: piece)
        }

        let first = unsafe BareLane(script, 0, root: root.rawValue, buffer(0))
        try first.carryOut(script.setup)
        let lanes = (0..<depth).map { unsafe BareLane(copying: first, $0, buffer($0)) }
        // What the lanes have taken over is closed with the last of them.
        defer { BareLane.close(lanes) }
        for lane in lanes { try lane.carryOut([.mkdir(.directory, .lane, .home)] + script.laneSetup) }

        var next = 0
        func run(for length: Int64) throws(Errno) -> BareMeasurement {
            let (began, processorBegan) = (
                monotonicNanoseconds(), (nanoseconds(of: CLOCK_THREAD_CPUTIME_ID) ?? 0)
            )
            var operations = 0
            while true {
                for _ in 0..<Self.batch {
                    try lanes[next].carryOut(script.cycle)
                    next = (next + 1) % depth
                }
                operations += Self.batch
                let passed = monotonicNanoseconds() - began
                if passed < length { continue }
                return BareMeasurement(
                    operations: operations, seconds: Double(max(1, passed)) / 1e9,
                    processorTimePerOperation: Double(
                        (nanoseconds(of: CLOCK_THREAD_CPUTIME_ID) ?? 0) - processorBegan)
                        / Double(operations))
            }
        }
        let duration = Int64(seconds * 1e9)
        func measured() throws(Errno) -> BareMeasurement {
            _ = try run(for: duration / 5)
            return try run(for: duration)
        }
        return try guestIsAwake ? AwakeGuest.beside(measured) : measured()
    }
}

/// What was counted of bare calls.
package struct BareMeasurement: Sendable {
    package let operations: Int
    package let seconds: Double
    /// In nanoseconds.
    package let processorTimePerOperation: Double

    package var operationsPerSecond: Double { Double(operations) / seconds }
}
