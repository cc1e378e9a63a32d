// SPDX-License-Identifier: Apache-2.0

/// Why a request was refused before any file system saw it. No payload: it costs nothing to throw and indexes counters.
public enum WireError: UInt8, Error, CaseIterable, Sendable {
    /// The chain holds less than a `fuse_in_header`.
    case shortHeader
    /// `fuse_in_header.length` is not what the chain holds.
    case lengthMismatch
    /// Longer than any request may be.
    case oversize
    /// The fixed arguments or a name reach beyond the end.
    case shortBody
    /// Bytes are left over after the last argument; an embedded NUL ends here too.
    case trailingBytes
    /// A name or text without its NUL.
    case missingNUL
    /// A name that is no single component: empty, ".", "..", or with "/".
    case badName
    /// A name beyond NAME_MAX or a link target beyond PATH_MAX.
    case longName
    /// The name of an extended attribute is empty or too long.
    case badXattrName
    /// The value of an extended attribute is beyond XATTR_SIZE_MAX.
    case longXattrValue
    /// Extension blocks that are cut, unknown, doubled or not negotiated.
    case badExtension
    /// A length among the arguments contradicts what the request carries, or a negotiated limit.
    case badSize
    /// The guest made no room for the fixed part of the reply.
    case shortReplyRoom
    /// The guest made no room even for the reply's header: the request goes unanswered.
    case noReplyRoom
    /// INIT of a version that is too old.
    case badVersion
    /// A request outside a session, or INIT and DESTROY at the same time.
    case noSession
    /// An operation that is not offered.
    case unknownOpcode
}
