// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// The DAX window, as Linux's fs/fuse/dax.c asks for it. Another thread must be serving `DeviceFrontend.channel`.
extension FuseClient {
    /// What Linux offers on top of `linuxFlags` where the device has a window.
    package static let daxFlags: UInt64 = InitFlags.mapAlignment | InitFlags.hasInodeDAX

    /// SETUPMAPPING: `length` bytes of the file from `fileOffset` on appear at `windowOffset`.
    ///
    /// - Parameter handle: Linux has none at hand and sends all ones.
    package func setupMapping(
        _ nodeID: NodeID, fileOffset: UInt64, length: UInt64 = FuseClient.mappingByteCount,
        windowOffset: UInt64, writable: Bool = true, handle: UInt64 = .max
    ) throws(Errno) {
        var argument = SetupMappingIn()
        argument.handle = handle
        argument.fileOffset = fileOffset
        argument.length = length
        argument.flags = SetupMappingIn.read | (writable ? SetupMappingIn.write : 0)
        argument.windowOffset = windowOffset
        try call(FuseRequest(.setupMapping, nodeID, argument))
    }

    /// How much Linux maps at a time (FUSE_DAX_SHIFT).
    package static let mappingByteCount: UInt64 = 2 << 20

    /// REMOVEMAPPING of ranges of the window. Linux sends it with the nodeid of the file that was mapped there.
    package func removeMapping(
        _ nodeID: NodeID, _ ranges: [(windowOffset: UInt64, length: UInt64)]
    ) throws(Errno) {
        try call(Self.removeMappingRequest(nodeID, ranges))
    }

    package static func removeMappingRequest(
        _ nodeID: NodeID, _ ranges: [(windowOffset: UInt64, length: UInt64)]
    ) -> FuseRequest {
        var request = FuseRequest(.removeMapping, nodeID)
        request.append(UInt32(clamping: ranges.count))
        for range in ranges {
            var one = RemoveMappingOne()
            one.windowOffset = range.windowOffset
            one.length = range.length
            request.append(one)
        }
        return request
    }
}
