// SPDX-License-Identifier: Apache-2.0
import CLinux
import Testing

@testable import Coherence

/// Events as fanotify(7) lays them out.
@Suite struct WatchEventTests {
    private func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
    }

    private let system = [UInt8](1...8)

    /// One information record: its header, the file system, the handle, and perhaps a name, filled up to a multiple of 4.
    private func info(_ type: UInt8, _ handle: [UInt8], _ name: String? = nil) -> [UInt8] {
        var body = system + bytes(UInt32(handle.count)) + bytes(UInt32(1)) + handle
        if let name { body += Array(name.utf8) + [0] }
        while body.count % 4 != 0 { body.append(0) }
        return [type, 0] + bytes(UInt16(body.count + 4)) + body
    }

    private func event(_ mask: UInt64, _ process: Int32, _ infos: [UInt8]...) -> [UInt8] {
        let rest = Array(infos.joined())
        return bytes(UInt32(24 + rest.count)) + [3, 0] + bytes(UInt16(24)) + bytes(mask) + bytes(Int32(-1))
            + bytes(process) + rest
    }

    private func parse(_ bytes: [UInt8]) -> [WatchEvent] {
        bytes.withUnsafeBytes { WatchEvent.all(in: $0) }
    }

    private func handle(_ bytes: [UInt8]) -> FileHandle {
        FileHandle(system + self.bytes(UInt32(bytes.count)) + self.bytes(UInt32(1)) + bytes)
    }

    @Test func eventsOfTheKernelAreRead() {
        let (a, b, c) = ([UInt8](20..<32), [UInt8](40..<48), [UInt8](60..<61))
        let stream =
            event(0x100, 7, info(2, a, "name"), info(1, b))
            + event(0x1000_0000, 8, info(10, a, "old"), info(12, c, "new"), info(1, b))
            + event(0x4, 0, info(1, b)) + event(0x4000_0004, 9, info(2, a, ".")) + event(0x4000, 0)
            + event(0x2, 1, info(3, a), [99, 0, 8, 0, 1, 2, 3, 4], info(1, b))
        #expect(
            parse(stream) == [
                WatchEvent(
                    .created, by: 7, object: handle(b), at: .init(handle(a), Array("name".utf8))),
                WatchEvent(
                    .moved, by: 8, object: handle(b), at: .init(handle(a), Array("old".utf8)),
                    to: .init(handle(c), Array("new".utf8))),
                WatchEvent(.attributes, object: handle(b)),
                WatchEvent([.attributes, .ofDirectory], by: 9, at: .init(handle(a), [UInt8(ascii: ".")])),
                WatchEvent(.lost),
                WatchEvent(.modified, by: 1, object: handle(b), at: .init(handle(a), [])),
            ])
        #expect(handle(a).fileSystem == 0x0807_0605_0403_0201)
        #expect(parse([]) == [])
    }

    /// Whatever is cut off or says a wrong length: nothing outside of the bytes is read, and nothing passes for an event.
    @Test func nonsenseIsALoss() {
        let good = event(0x100, 7, info(2, [UInt8](0..<12), "name"), info(1, [UInt8](0..<12)))
        for length in 1..<good.count {
            #expect(parse(Array(good[..<length])) == [WatchEvent(.lost)], "\(length)")
            #expect(parse(good + good[..<length]).last == WatchEvent(.lost), "\(length)")
        }
        // Lengths: of the event, of its metadata, of the first record, of its handle.
        for offset in [0, 6, 26, 36] {
            // A shorter handle is one.
            let lengths: [UInt16] = offset == 36 ? [129, 200, 0xffff] : [0, 3, 200, 0xffff]
            for wrong in lengths {
                var bad = good
                bad[offset] = UInt8(wrong & 0xff)
                bad[offset + 1] = UInt8(wrong >> 8)
                #expect(parse(bad).contains(WatchEvent(.lost)), "\(offset): \(wrong)")
            }
        }
        // A name that does not end, and one that no file can have.
        var endless = event(0x100, 7, info(2, [UInt8](0..<12), "abc"))
        endless[endless.count - 1] = 1
        #expect(parse(endless) == [WatchEvent(.lost)])
        let long = String(repeating: "x", count: 256)
        #expect(parse(event(0x100, 7, info(2, [1], long))) == [WatchEvent(.lost)])
        #expect(parse(event(0x100, 7, info(2, [1], String(long.dropLast())))).first?.place?.name.count == 255)
        #expect(parse(event(0x100, 7, info(1, [UInt8](repeating: 1, count: 129)))) == [WatchEvent(.lost)])
    }

    @Test func tableForgetsWhatIsNotAskedFor() {
        var table = RecentTable<Int, Int>(limit: 10)
        for number in 0..<1000 {
            table[number] = number
            #expect(table[0] == 0)
            #expect(table.count <= 10)
        }
        #expect(table[999] == 999)
        #expect(table[500] == nil)
        table[999] = nil
        #expect(table[999] == nil)
        table.removeAll()
        #expect(table[0] == nil)
    }
}
