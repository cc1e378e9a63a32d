// SPDX-License-Identifier: Apache-2.0

/// What the extension blocks at the end of a request that makes an object say. Each block begins with its size and its
/// type, both 32 bits wide, and is padded to eight bytes:
///
///     type 0…31  fuse_secctx_header; the type is the number of labels, each {size, pad} name NUL value, padded
///     type 32    fuse_ext_header of FUSE_EXT_GROUPS: {number of groups} groups…, padded
@safe public struct RequestExtensions {
    /// FUSE_SECURITY_CTX: the xattr's name, whose NUL lies right behind it, and its value.
    public private(set) var label: (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)?
    /// FUSE_EXT_GROUPS.
    public private(set) var group: UInt32?
    /// Which flags of INIT must have been agreed on for these blocks.
    public private(set) var neededFlags: UInt64 = 0

    private static let groupsType: UInt32 = 32

    /// Parses blocks up to the end of `bytes`; each kind at most once, with at most one label and one group, which is
    /// all that Linux sends.
    public init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var blocks = unsafe RequestReader(bytes)
        while blocks.remaining > 0 {
            let size: UInt32
            let type: UInt32
            let body: UnsafeRawBufferPointer
            do throws(WireError) {
                (size, type) = try Self.pair(&blocks)
                guard size >= 8, size % 8 == 0 else { throw .badExtension }
                unsafe body = try unsafe blocks.take(Int(size) - 8)
                try unsafe parse(type: type, body: body)
            } catch {
                throw .badExtension
            }
        }
    }

    private mutating func parse(type: UInt32, body: UnsafeRawBufferPointer) throws(WireError) {
        var reader = unsafe RequestReader(body)
        let flag = type == Self.groupsType ? InitFlags.createSupplementaryGroup : InitFlags.securityContext
        guard neededFlags & flag == 0 else { throw .badExtension }
        neededFlags |= flag
        switch type {
        case 0: break  // no module of the guest has a label to give
        case 1:
            let (valueSize, _) = try Self.pair(&reader)
            let name = try unsafe reader.string(
                maximum: RequestReader.maximumXattrNameByteCount, tooLong: .badExtension)
            guard unsafe !name.isEmpty, valueSize <= RequestReader.maximumXattrValueByteCount else {
                throw .badExtension
            }
            unsafe label = (name, try reader.take(Int(valueSize)))
        case Self.groupsType:
            switch try Self.word(&reader) {
            case 0: break
            case 1: group = try Self.word(&reader)
            default: throw .badExtension
            }
        default: throw .badExtension
        }
        guard reader.remaining < 8 else { throw .badExtension }  // only padding may be left
    }

    private static func word(_ reader: inout RequestReader) throws(WireError) -> UInt32 {
        unsafe try reader.take(4).loadUnaligned(as: UInt32.self)
    }

    private static func pair(_ reader: inout RequestReader) throws(WireError) -> (UInt32, UInt32) {
        (try word(&reader), try word(&reader))
    }
}
