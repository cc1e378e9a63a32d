// SPDX-License-Identifier: Apache-2.0

/// The mounts below a directory, as /proc/self/mountinfo lists them.
struct MountList: Equatable {
    struct Mount: Equatable {
        /// STATX_MNT_ID.
        let id: UInt32
        let path: [UInt8]
        let type: String
    }

    private(set) var mounts: [Mount] = []

    /// - Parameters:
    ///   - text: of /proc/self/mountinfo. Lines that are none are passed over.
    ///   - root: the path of the directory, without a slash at its end but that of "/".
    init(_ text: [UInt8], below root: [UInt8]) {
        let prefix = root == [Self.slash] ? root : root + [Self.slash]
        for line in text.split(separator: UInt8(ascii: "\n")) {
            // ID, parent, device, root, mount point, options, optional fields, "-", type, source, options.
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard fields.count > 6, let id = UInt32(String(decoding: fields[0], as: UTF8.self)),
                let end = fields[6...].firstIndex(of: [UInt8(ascii: "-")]), end + 1 < fields.count
            else { continue }
            let path = Self.unescaped(fields[4])
            guard path.starts(with: prefix), path.count > prefix.count else { continue }
            mounts.append(
                Mount(id: id, path: path, type: String(decoding: fields[end + 1], as: UTF8.self)))
        }
    }

    private static let slash = UInt8(ascii: "/")

    /// With bytes where the kernel writes a backslash and three octal digits: spaces, tabs, line ends and backslashes.
    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                result.append(code)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return result
    }
}
