// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

// DAX: files in the window of the device.
extension FuseServer {
    func setupMapping(_ request: inout Request) throws(Errno) -> Answer {
        try requireWindow(&request)
        let arguments: SetupMappingIn = try request.last()
        try fileSystem.setupMapping(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func removeMapping(_ request: inout Request) throws(Errno) -> Answer {
        try requireWindow(&request)
        let count: UInt32 = try request.fixed()
        let bytes = try unsafe request.rest(count: UInt64(count) * UInt64(RemoveMappingList.entryByteCount))
        try fileSystem.removeMapping(request.caller, unsafe RemoveMappingList(bytes))
        return .empty
    }

    /// Without a window INIT agrees on no alignment in it.
    private func requireWindow(_ request: inout Request) throws(Errno) {
        guard session.flags & InitFlags.mapAlignment != 0 else { throw request.refuse(.unknownOpcode) }
    }
}

/// The entries of a REMOVEMAPPING, in the private copy of the request.
@safe public struct RemoveMappingList {
    static let entryByteCount = MemoryLayout<RemoveMappingOne>.size
    private let bytes: UnsafeRawBufferPointer

    /// - Parameter bytes: whole entries.
    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    public var count: Int { unsafe bytes.count / Self.entryByteCount }

    public subscript(index: Int) -> RemoveMappingOne {
        // SAFETY: the load is checked against the buffer's end.
        unsafe bytes.loadUnaligned(fromByteOffset: index * Self.entryByteCount, as: RemoveMappingOne.self)
    }
}
