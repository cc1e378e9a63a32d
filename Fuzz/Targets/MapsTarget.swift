// SPDX-License-Identifier: Apache-2.0
import HostFS

/// The text of an id map or an xattr map, and what is then asked of it:
/// ```
/// u8 0 = id map, 1 = xattr map; u16 length; u8 text[length]; then ids of four bytes, or one name
/// ```
/// A text is a map, or is refused with the rule at fault. No id becomes −1, which is none; a name of the guest is found again
/// in the host's, and stays short enough to be one.
final class MapsTarget: FuzzTarget {
    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        let isNames = input.byte() & 1 == 1
        let text = Array(input.take(Int(input.number(UInt16.self))))
        do {
            if isNames {
                try check(try XattrMap(parsing: text), input.rest())
            } else {
                try check(IdTable(try IdMap(parsing: text)), &input)
            }
        } catch let error as MapError {
            try demand(!error.reason.isEmpty && !error.hint.isEmpty, "a refusal without a reason or a hint")
            for line in [error.reason, error.hint] {
                try demand(
                    line.unicodeScalars.allSatisfy { $0.value >= 32 }, "a refusal that is no line: \(line)")
            }
        }
    }

    private func check(_ table: borrowing IdTable, _ input: inout FuzzInput) throws(Broken) {
        var ids: [UInt32] = [0, 1, 999, 1000, 65534, .max - 1]
        while !input.isEmpty { ids.append(input.number()) }
        for id in ids where id != .max {
            try demand(table.hostID(id) != .max, "the guest's id \(id) becomes none")
            try demand(table.guestID(id) != .max, "the host's id \(id) becomes none")
        }
    }

    private func check(_ map: XattrMap, _ name: UnsafeRawBufferPointer) throws(Broken) {
        // As requests have it: 1…255 bytes without a NUL.
        let name = Array(name.filter { $0 != 0 }.prefix(XattrMap.maximumByteCount))
        if name.isEmpty { return }
        var buffer = [UInt8](repeating: 0, count: XattrMap.maximumByteCount)
        let found = name.withUnsafeBytes { name in
            buffer.withUnsafeMutableBytes { map.hostName(of: name, into: $0) }
        }
        if case .mapped(let count) = found {
            try demand(count > name.count && count <= buffer.count, "a name of \(count) bytes on the host")
            try demand(
                Array(buffer[..<count].suffix(name.count)) == name,
                "the host's name does not end in the guest's")
        }
        guard let stripped = name.withUnsafeBytes(map.strippedByteCount) else { return }
        try demand(stripped < name.count, "nothing is left of a name")
    }
}
