// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

/// Lets `body` read `bytes`, and gives what it throws.
func reading<T>(_ bytes: [UInt8], _ body: (inout RequestReader) throws(WireError) -> T) -> Result<
    T, WireError
> {
    bytes.withUnsafeBytes { raw in
        var reader = RequestReader(raw)
        do throws(WireError) { return .success(try body(&reader)) } catch { return .failure(error) }
    }
}

func string(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

@Suite struct RequestReaderTests {
    @Test func takesPartsInOrderAndNeverBeyondTheEnd() {
        let parts = reading([1, 2, 3, 4, 5]) { reader throws(WireError) in
            [
                Array(try reader.take(2)), Array(try reader.take(0)), Array(reader.rest()),
                Array(reader.rest()),
            ]
        }
        #expect(parts == .success([[1, 2], [], [3, 4, 5], []]))
        #expect(reading([1, 2]) { r throws(WireError) in try r.take(3).count } == .failure(.shortBody))
        #expect(reading([1, 2]) { r throws(WireError) in try r.take(-1).count } == .failure(.shortBody))
        #expect(reading([1, 2]) { r throws(WireError) in try r.take(.max).count } == .failure(.shortBody))
        #expect(reading([]) { r throws(WireError) in try r.take(1).count } == .failure(.shortBody))
    }

    @Test func aFailedTakeConsumesNothing() {
        let left = reading([1, 2]) { r throws(WireError) in
            do throws(WireError) { _ = try r.take(3) } catch { return r.remaining }
            return -1
        }
        #expect(left == .success(2))
    }

    @Test func endRefusesWhatIsLeft() {
        #expect(throws: Never.self) { try reading([]) { r throws(WireError) in try r.end() }.get() }
        #expect(throws: WireError.trailingBytes) {
            try reading([0]) { r throws(WireError) in try r.end() }.get()
        }
    }

    func name(_ bytes: [UInt8]) -> Result<String, WireError> {
        reading(bytes) { r throws(WireError) in
            let name = try r.name()
            try r.end()
            return string(name)
        }
    }

    @Test func namesHaveTheirNULBehindThem() {
        #expect(name(Array("a\0".utf8)) == .success("a"))
        #expect(name(Array("...\0".utf8)) == .success("..."))
        #expect(name(Array(".a\0".utf8)) == .success(".a"))
        #expect(name(Array("a.\0".utf8)) == .success("a."))
        #expect(name(Array("..a\0".utf8)) == .success("..a"))
        let behind = reading([0x61, 0, 9]) { r throws(WireError) in
            let name = try r.name()
            return name.baseAddress?.load(fromByteOffset: name.count, as: UInt8.self)
        }
        #expect(behind == .success(0))
    }

    @Test func namesAreBytesNotText() {
        let bytes = reading([0xff, 0xfe, 0x80, 0]) { r throws(WireError) in Array(try r.name()) }
        #expect(bytes == .success([0xff, 0xfe, 0x80]))
    }

    @Test(arguments: ["", ".", "..", "/", "a/b", "/abs", "../x", "a/", "./"])
    func noComponentIsNoName(_ text: String) { #expect(name(Array(text.utf8) + [0]) == .failure(.badName)) }

    @Test func namesEndSomewhere() {
        #expect(name([]) == .failure(.missingNUL))
        #expect(name([0x61]) == .failure(.missingNUL))
        #expect(name(Array("a\0b\0".utf8)) == .failure(.trailingBytes))
        let longest = [UInt8](repeating: 0x61, count: 255)
        #expect(name(longest + [0]) == .success(String(repeating: "a", count: 255)))
        #expect(name(longest) == .failure(.missingNUL))
        #expect(name(longest + [0x61]) == .failure(.longName))
        #expect(name(longest + [0x61, 0]) == .failure(.longName))
    }

    @Test func lookupMaySayDotAndDotDot() {
        func special(_ text: String) -> Result<SpecialName?, WireError> {
            reading(Array(text.utf8) + [0]) { r throws(WireError) in try r.component().special }
        }
        #expect(special(".") == .success(.current))
        #expect(special("..") == .success(.parent))
        #expect(special("...") == .success(nil))
        #expect(special("a") == .success(nil))
        #expect(special("ab") == .success(nil))
        #expect(special("") == .failure(.badName))
        #expect(special("../x") == .failure(.badName))
    }

    @Test func stringsMayBeEmptyAndHaveALimitOfTheirOwn() {
        func text(_ bytes: [UInt8]) -> Result<Int, WireError> {
            reading(bytes) { r throws(WireError) in try r.string(maximum: 3, tooLong: .badXattrName).count }
        }
        #expect(text([0]) == .success(0))
        #expect(text([0x2f, 0x2f, 0x2f, 0]) == .success(3))
        #expect(text([0x2f, 0x2f, 0x2f, 0x2f, 0]) == .failure(.badXattrName))
        #expect(text([0x2f, 0x2f, 0x2f]) == .failure(.missingNUL))
    }
}
