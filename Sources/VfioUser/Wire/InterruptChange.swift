// SPDX-License-Identifier: Apache-2.0
import Errors

/// What DEVICE_SET_IRQS is to do. Everything from `start` on is within the count of the index.
package enum InterruptChange: Equatable, Sendable {
    /// No interrupt of the index is assigned any longer.
    case disable
    /// `count` descriptors come along, to signal from now on the interrupts from `start` on; or none does, and these are
    /// taken away.
    case assign(start: UInt32, count: UInt32)
    /// Where the flag is set, the interrupt is to be sent as if the device had.
    case trigger(start: UInt32, flags: [Bool])
    /// Where the flag is set, the interrupt is held back until it is unmasked.
    case mask(start: UInt32, flags: [Bool])
    /// Where the flag is set, the interrupt may be sent again; it is if it was held back.
    case unmask(start: UInt32, flags: [Bool])
}

/// The payload of DEVICE_SET_IRQS: `u32 argsz, flags, index, start, count`, then what the flags say.
struct InterruptMessage {
    private static let byteCount = 20

    /// DATA_*, bits 0-2: what comes with the message.
    private enum Content: UInt32 {
        case nothing = 1
        /// A byte for each interrupt.
        case flags = 2
        /// Descriptors, all of them or none.
        case events = 4
    }

    /// ACTION_*, bits 3-5.
    private enum Action: UInt32 {
        case mask = 0x08
        case unmask = 0x10
        case trigger = 0x20
    }

    let index: InterruptIndex
    private let content: Content
    private let action: Action
    private let start: UInt32
    private let count: UInt32
    private let data: ArraySlice<UInt8>

    /// - Throws: EINVAL for an unknown index, and unless the flags name one kind of content and one action.
    init(decoding payload: [UInt8]) throws(Errno) {
        var reader = WireReader(payload)
        let argumentByteCount = try reader.u32()
        let flags = try reader.u32()
        guard argumentByteCount >= UInt32(Self.byteCount), let content = Content(rawValue: flags & 7),
            let action = Action(rawValue: flags & ~7), let index = InterruptIndex(rawValue: try reader.u32())
        else { throw .EINVAL }
        self.index = index
        self.content = content
        self.action = action
        start = try reader.u32()
        count = try reader.u32()
        data = try reader.take(reader.remainingByteCount)
    }

    /// - Parameter available: how many interrupts the index has.
    /// - Throws: EINVAL for more than these, for what VFIO does not know, and for another number of bytes or descriptors.
    func change(available: UInt32, descriptorCount: Int) throws(Errno) -> InterruptChange {
        guard start <= available, count <= available - start else { throw .EINVAL }
        guard descriptorCount == 0 || content == .events else { throw .EINVAL }
        switch (content, action) {
        case (.nothing, .trigger) where count == 0:
            guard start == 0, data.isEmpty else { throw .EINVAL }
            return .disable
        case _ where count == 0: throw .EINVAL
        case (.events, .trigger):
            // The kernel's message has the descriptors' numbers too, which mean nothing here.
            guard descriptorCount == 0 || descriptorCount == Int(count),
                data.isEmpty || data.count == 4 * Int(count)
            else { throw .EINVAL }
            return .assign(start: start, count: count)
        case (.events, _): throw .EINVAL
        case (_, .trigger): return .trigger(start: start, flags: try chosen())
        case (_, .mask): return .mask(start: start, flags: try chosen())
        case (_, .unmask): return .unmask(start: start, flags: try chosen())
        }
    }

    /// Which of the `count` interrupts are meant.
    private func chosen() throws(Errno) -> [Bool] {
        if content == .flags {
            guard data.count == Int(count) else { throw .EINVAL }
            return data.map { $0 != 0 }
        }
        guard data.isEmpty else { throw .EINVAL }
        return [Bool](repeating: true, count: Int(count))
    }
}
