// SPDX-License-Identifier: Apache-2.0
import Errors

/// The payloads of DEVICE_GET_INFO: `u32 argsz, flags, num_regions, num_irqs`.
enum DeviceInfo {
    private static let byteCount = 16
    private static let resetFlag: UInt32 = 1 << 0
    private static let pciFlag: UInt32 = 1 << 1

    /// A PCI device that can be reset.
    ///
    /// The reply is as long as the request: Cloud Hypervisor sends, and waits for, the 20 bytes that
    /// `struct vfio_device_info` has in later kernels (`cap_offset`; 24 with its padding), which are zero here.
    static func reply(to payload: [UInt8]) throws(Errno) -> [UInt8] {
        var reader = WireReader(payload)
        guard try reader.u32() >= UInt32(byteCount), payload.count >= byteCount,
            payload.count <= byteCount + 8
        else { throw .EINVAL }
        var writer = ByteWriter(capacity: payload.count)
        writer.u32(UInt32(truncatingIfNeeded: payload.count))
        writer.u32(resetFlag | pciFlag)
        writer.u32(RegionIndex.count)
        writer.u32(UInt32(truncatingIfNeeded: InterruptIndex.allCases.count))
        writer.zeros(payload.count - byteCount)
        return writer.bytes
    }
}
