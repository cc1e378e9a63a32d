// SPDX-License-Identifier: Apache-2.0

/// Private memory in which the body of one reply is built, then copied to the guest in one go.
///
/// Its capacity is the smaller of the worker's scratch and what the guest made room for: an append that does not fit
/// changes nothing and returns false, so a reply can never be longer than the guest's buffers.
@safe public struct ReplyBuffer: ~Copyable {
    private let base: UnsafeMutableRawPointer
    /// In bytes, without the reply header.
    public let capacity: Int
    /// Bytes appended so far.
    public private(set) var count = 0

    public init(base: UnsafeMutableRawPointer, capacity: Int) {
        unsafe self.base = unsafe base
        self.capacity = capacity
    }

    public var remaining: Int { capacity - count }

    /// Appends a wire struct, which has no pointers and whose padding fields are zero.
    public mutating func append<T: BitwiseCopyable>(_ value: T) -> Bool {
        let size = MemoryLayout<T>.size
        guard size <= remaining else { return false }
        // SAFETY: the range is inside the scratch; storeBytes has no alignment demand.
        unsafe base.storeBytes(of: value, toByteOffset: count, as: T.self)
        count += size
        return true
    }

    /// Appends raw bytes.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= remaining else { return false }
        if let source = bytes.baseAddress {
            unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
        }
        count += bytes.count
        return true
    }

    /// Appends `n` zero bytes.
    public mutating func appendZeros(_ n: Int) -> Bool {
        guard n >= 0, n <= remaining else { return false }
        unsafe (base + count).initializeMemory(as: UInt8.self, repeating: 0, count: n)
        count += n
        return true
    }

    /// Lets a system call write up to `remaining` bytes in place; `fill` gets the free space and returns how much it
    /// wrote, which must not be more than it got.
    public mutating func appendInPlace<E: Error>(
        _ fill: (UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) {
        let free = unsafe UnsafeMutableRawBufferPointer(start: base + count, count: remaining)
        count += min(max(0, unsafe try fill(free)), remaining)
    }

    /// Forgets everything after the first `n` bytes.
    public mutating func truncate(to n: Int) { count = min(count, max(0, n)) }
}
