// SPDX-License-Identifier: Apache-2.0
import Errors

/// The payload of VERSION, both ways: `u16 major, u16 minor`, then perhaps JSON with a NUL behind it.
enum VersionMessage {
    /// Looks at what the client speaks. Its capabilities do not matter: we send no commands, one descriptor at most, and as much
    /// data as it asks for.
    ///
    /// - Throws: EINVAL for another major version than 0, or for version data that cannot be JSON.
    static func check(_ payload: [UInt8]) throws(Errno) {
        var reader = WireReader(payload)
        // A client that knows a later minor version knows the earlier ones.
        guard try reader.u16() == 0 else { throw .EINVAL }
        _ = try reader.u16()
        let data = try reader.take(reader.remainingByteCount)
        guard data.isEmpty || isObject(data) else { throw .EINVAL }
    }

    /// Whether these are UTF-8 in braces, then the only NUL.
    private static func isObject(_ data: ArraySlice<UInt8>) -> Bool {
        let text = data.dropLast()
        guard data.last == 0, !text.contains(0), String(validating: text, as: UTF8.self) != nil else {
            return false
        }
        let spaces = Set(" \t\r\n".utf8)
        guard let first = text.firstIndex(where: { !spaces.contains($0) }),
            let last = text.lastIndex(where: { !spaces.contains($0) })
        else { return false }
        return text[first] == UInt8(ascii: "{") && text[last] == UInt8(ascii: "}")
    }

    /// Version 0.0, which QEMU and Cloud Hypervisor speak, and what we can take.
    ///
    /// - Parameter maximumMaps: how many ranges of memory the device takes at a time.
    static func reply(maximumMaps: Int) -> [UInt8] {
        let capabilities =
            "{\"capabilities\":{\"max_msg_fds\":\(MessageHeader.maximumDescriptorCount),"
            + "\"max_data_xfer_size\":\(MessageHeader.maximumTransferByteCount),"
            + "\"max_dma_maps\":\(maximumMaps),\"pgsizes\":\(DMARange.pageByteCount)}}"
        return [0, 0, 0, 0] + Array(capabilities.utf8) + [0]
    }
}
