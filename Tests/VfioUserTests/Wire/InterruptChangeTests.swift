// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct InterruptChangeTests {
    private func message(
        _ flags: UInt32, start: UInt32 = 0, count: UInt32 = 1, data: [UInt8] = [],
        argumentByteCount: UInt32 = 20, index: UInt32 = 2
    ) -> [UInt8] {
        le32(argumentByteCount) + le32(flags) + le32(index) + le32(start) + le32(count) + data
    }

    private func change(_ bytes: [UInt8], descriptors: Int = 0) throws(Errno) -> InterruptChange {
        try InterruptMessage(decoding: bytes).change(available: 4, descriptorCount: descriptors)
    }

    @Test func golden() throws {
        let bytes: [UInt8] = [
            20, 0, 0, 0,  // argsz
            0x24, 0, 0, 0,  // flags: eventfds, trigger
            2, 0, 0, 0,  // index: MSI-X
            1, 0, 0, 0,  // start
            3, 0, 0, 0,  // count
        ]
        let request = try InterruptMessage(decoding: bytes)
        #expect(request.index == .msix)
        #expect(try request.change(available: 4, descriptorCount: 3) == .assign(start: 1, count: 3))
        for count in 0..<20 {
            #expect(throws: Errno.EINVAL) { try InterruptMessage(decoding: Array(bytes.prefix(count))) }
        }
    }

    @Test func everyChange() throws {
        // TRIGGER 0x20, UNMASK 0x10, MASK 8; EVENTFD 4, BOOL 2, NONE 1
        #expect(try change(message(0x21, count: 0)) == .disable)
        #expect(try change(message(0x24, start: 3, count: 1)) == .assign(start: 3, count: 1))
        #expect(
            try change(message(0x24, count: 2, data: le64(5)), descriptors: 2) == .assign(start: 0, count: 2))
        #expect(try change(message(0x21, start: 2, count: 2)) == .trigger(start: 2, flags: [true, true]))
        #expect(
            try change(message(0x22, count: 3, data: [1, 0, 255]))
                == .trigger(start: 0, flags: [true, false, true]))
        #expect(try change(message(0x09, count: 4)) == .mask(start: 0, flags: [true, true, true, true]))
        #expect(try change(message(0x0a, start: 3, data: [0])) == .mask(start: 3, flags: [false]))
        #expect(try change(message(0x11)) == .unmask(start: 0, flags: [true]))
        #expect(try change(message(0x12, data: [1])) == .unmask(start: 0, flags: [true]))
    }

    /// Of all flags only those with one kind of content and one action mean something; MASK and UNMASK go without eventfds.
    @Test func flags() {
        let known: Set<UInt32> = [0x21, 0x22, 0x24, 0x09, 0x0a, 0x11, 0x12]
        for flags: UInt32 in 0..<128 {
            let bytes = message(flags, data: flags & 7 == 2 ? [1] : [])
            let isKnown = (try? change(bytes)) != nil
            #expect(isKnown == known.contains(flags), "flags \(flags)")
        }
        #expect(throws: Errno.EINVAL) { try change(message(0x8000_0021)) }
    }

    @Test func refusals() {
        let wrong: [(bytes: [UInt8], descriptors: Int)] = [
            (message(0x21, index: 5), 0),
            (message(0x21, index: .max), 0),
            (message(0x21, argumentByteCount: 19), 0),
            // Beyond the index's four.
            (message(0x21, start: 4), 0),
            (message(0x21, start: 3, count: 2), 0),
            (message(0x21, start: 0, count: 5), 0),
            (message(0x21, start: .max, count: 2), 0),
            (message(0x21, start: 1, count: .max), 0),
            (message(0x24, start: 2, count: 3), 3),
            // None at all.
            (message(0x24, count: 0), 0),
            (message(0x22, count: 0), 0),
            (message(0x09, count: 0), 0),
            (message(0x11, count: 0), 0),
            (message(0x21, start: 1, count: 0), 0),
            (message(0x21, count: 0, data: [0]), 0),
            // Data or descriptors that do not belong.
            (message(0x21, data: [1]), 0),
            (message(0x22), 0),
            (message(0x22, data: [1, 1]), 0),
            (message(0x22, count: 3, data: [1, 1]), 0),
            (message(0x24, data: [1]), 1),
            (message(0x21), 1),
            (message(0x21, count: 0), 1),
            (message(0x22, data: [1]), 1),
            (message(0x09), 1),
            (message(0x24, count: 2), 1),
            (message(0x24, count: 1), 2),
            (message(0x0c), 1),
            (message(0x14), 1),
        ]
        for (bytes, descriptors) in wrong {
            #expect(throws: Errno.EINVAL, "\(bytes)") { try change(bytes, descriptors: descriptors) }
        }
    }

    /// An index without interrupts can be disabled, which QEMU does, and nothing else.
    @Test func noInterrupts() throws {
        let disable = try InterruptMessage(decoding: message(0x21, count: 0))
        #expect(try disable.change(available: 0, descriptorCount: 0) == .disable)
        let assign = try InterruptMessage(decoding: message(0x24))
        #expect(throws: Errno.EINVAL) { try assign.change(available: 0, descriptorCount: 1) }
    }
}
