// SPDX-License-Identifier: Apache-2.0
import Errors
import CLinux
import HostOS
import Synchronization

/// What a worker can hold on to while it handles one request.
enum Pin {
    static func inode(_ slot: UInt32) -> UInt64 { 1 << 40 | UInt64(slot) }
    static func handle(_ slot: UInt32) -> UInt64 { 2 << 40 | UInt64(slot) }
    static func descriptor(_ number: Int32) -> UInt64 { 3 << 40 | UInt64(UInt32(bitPattern: number)) }
}

/// Where each worker shows which records and descriptors its request uses, so that nobody reuses or closes them.
///
/// The rule, in both directions with a full fence between: a worker shows a pin, then checks that the thing is still
/// alive; whoever ends a thing first makes it unfindable, then looks for pins. So either the worker sees that the thing
/// is gone, or the other sees the pin. Unlike epochs, a worker that is stuck in a slow call holds up only what it uses.
@safe final class PinBoard: @unchecked Sendable {
    /// More than the workers of 64 queues and the threads for requests that wait.
    private static let places = 128
    private static let placeSize = 256
    private let memory: Mapping
    private let taken = Mutex(InlineArray<128, Bool>(repeating: false))
    /// Places at or above were never used.
    private let used = Atomic<Int>(0)

    init() throws(Errno) {
        memory = try Mapping(anonymous: Self.places * Self.placeSize)
    }

    /// A place on the board for one more worker. Throws EMFILE when there are too many.
    func claim() throws(Errno) -> PinSet {
        let free = taken.withLock { taken -> Int? in
            guard let place = taken.indices.first(where: { !taken[$0] }) else { return nil }
            taken[place] = true
            return place
        }
        guard let free else { throw .EMFILE }
        used.max(free + 1, ordering: .sequentiallyConsistent)
        return unsafe PinSet(place: free, base: memory.base + free * Self.placeSize)
    }

    func giveBack(_ pins: PinSet) {
        pins.clear()
        taken.withLock { $0[pins.place] = false }
    }

    /// Whether any worker's request uses `pin`. The caller has made the thing unfindable before.
    func holds(_ pin: UInt64) -> Bool {
        vfs_fence()
        for place in 0..<used.load(ordering: .sequentiallyConsistent) {
            let pins = unsafe PinSet(place: place, base: memory.base + place * Self.placeSize)
            if pins.contains(pin) { return true }
        }
        return false
    }
}

/// One worker's place on the board. Only that worker adds and removes.
@safe struct PinSet: @unchecked Sendable {
    /// More than any operation needs: at most two names, two objects and two handles, each with a descriptor.
    private static let capacity = 30
    let place: Int
    private let base: UnsafeMutableRawPointer

    init(place: Int, base: UnsafeMutableRawPointer) {
        self.place = place
        unsafe self.base = base
    }

    var count: Int { unsafe Int(vfs_load_relaxed64(base)) }

    /// Shows a pin, to be followed by `fence` and the check that the thing is alive. EIO when there are too many.
    @inline(__always)
    func add(_ pin: UInt64) throws(Errno) {
        let count = count
        guard count < Self.capacity else { throw .EIO }
        unsafe vfs_store_relaxed64(base + 8 + 8 * count, pin)
        unsafe vfs_store_release64(base, UInt64(count + 1))
    }

    func fence() { vfs_fence() }

    /// Takes back all but the first `count` pins.
    func truncate(to count: Int) { unsafe vfs_store_release64(base, UInt64(min(count, self.count))) }
    func clear() { unsafe vfs_store_release64(base, 0) }

    func contains(_ pin: UInt64) -> Bool {
        let count = unsafe Int(vfs_load_acquire64(base))
        for index in 0..<min(count, Self.capacity)
        where unsafe vfs_load_relaxed64(base + 8 + 8 * index) == pin {
            return true
        }
        return false
    }
}
