// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import VfioUser

extension VfioClient {
    /// What QEMU 11.1 says of itself.
    package static let qemuCapabilities =
        #"{"capabilities":{"pgsizes":4096,"max_msg_fds":16,"max_dma_maps":65535,"max_data_xfer_size":1048576,"#
        + #""migration":{"max_bitmap_size":268435456,"pgsize":4096},"write_multiple":true}}"#

    /// Says hello; returns the JSON that the server answers, without its NUL.
    @discardableResult
    package func version(
        major: UInt16 = 0, minor: UInt16 = 0, capabilities: String? = qemuCapabilities
    ) throws -> String {
        let data: [UInt8] = capabilities.map { Array($0.utf8) + [0] } ?? []
        let reply = try exchange(
            .version,
            fields {
                $0.u16(major); $0.u16(minor)
            } + data)
        guard reply.payload.count >= 5, reply.payload.last == 0 else {
            throw UnexpectedReply(header: reply.header)
        }
        return String(decoding: reply.payload[4...].dropLast(), as: UTF8.self)
    }

    /// `struct vfio_device_info`.
    package func deviceInfo() throws -> (flags: UInt32, regions: UInt32, interrupts: UInt32) {
        let reply = try exchange(
            .getDeviceInfo,
            fields {
                $0.u32(16); $0.zeros(12)
            })
        var reader = ByteReader<Errno>(reply.payload)
        _ = try reader.u32()
        return (try reader.u32(), try reader.u32(), try reader.u32())
    }

    /// A region as QEMU sees it: it asks with 32 bytes, and again if more is there.
    package func regionInfo(_ index: UInt32) throws -> (info: RegionInfo, file: OwnedFile?) {
        var limit: UInt32 = 32
        while true {
            let request = fields {
                $0.u32(limit); $0.u32(0); $0.u32(index); $0.zeros(20)
            }
            let reply = try exchange(.getRegionInfo, request)
            var reader = ByteReader<Errno>(reply.payload)
            let full = try reader.u32()
            let flags = try reader.u32()
            guard try reader.u32() == index else { throw UnexpectedReply(header: reply.header) }
            let capability = try reader.u32()
            var info = RegionInfo(
                size: try reader.u64(), isReadable: flags & 1 != 0, isWritable: flags & 2 != 0)
            let offset = try reader.u64()
            // QEMU's own demands.
            if flags & 8 != 0, capability < 32 || capability > full {
                throw UnexpectedReply(header: reply.header)
            }
            guard (flags & 4 != 0) == (reply.files.count == 1), offset == 0 else {
                throw UnexpectedReply(header: reply.header)
            }
            if full > limit {
                limit = full
                continue
            }
            info.file = reply.files.first?.descriptor.rawValue
            if flags & 8 != 0 {
                info.mappable = try parts(&reader)
            } else if flags & 4 != 0 {
                info.mappable = [0..<info.size]
            }
            return (info, reply.files.first)
        }
    }

    /// The one capability that there is: `u16 id, version; u32 next, count, 0`, then an offset and a size for each part.
    private func parts(_ reader: inout ByteReader<Errno>) throws -> [Range<UInt64>] {
        guard try reader.u16() == 1, try reader.u16() == 1, try reader.u32() == 0 else { throw Errno.EPROTO }
        let count = try reader.u32()
        _ = try reader.u32()
        return try (0..<count).map { _ in
            let start = try reader.u64()
            return start..<start + (try reader.u64())
        }
    }

    package func interruptInfo(_ index: UInt32) throws -> (flags: UInt32, count: UInt32) {
        let reply = try exchange(
            .getInterruptInfo,
            fields {
                $0.u32(16); $0.u32(0); $0.u32(index); $0.u32(0)
            })
        var reader = ByteReader<Errno>(reply.payload)
        _ = try reader.u32()
        let flags = try reader.u32()
        _ = try reader.u32()
        return (flags, try reader.u32())
    }

    /// Without a descriptor the range can only be reached by messages.
    package func map(_ range: DMARange, _ file: Int32?) throws {
        let request = fields {
            $0.u32(32)
            $0.u32((range.isReadable ? 1 : 0) | (range.isWritable ? 2 : 0))
            $0.u64(range.fileOffset)
            $0.u64(range.address)
            $0.u64(range.size)
        }
        _ = try exchange(.mapDMA, request, descriptors: file.map { [$0] } ?? [])
    }

    package func unmap(address: UInt64, size: UInt64) throws {
        _ = try exchange(
            .unmapDMA,
            fields {
                $0.u32(24); $0.u32(0); $0.u64(address); $0.u64(size)
            })
    }

    package func unmapAll() throws {
        _ = try exchange(
            .unmapDMA,
            fields {
                $0.u32(24); $0.u32(2); $0.zeros(16)
            })
    }

    package func read(_ region: UInt32, _ offset: UInt64, _ count: Int) throws -> [UInt8] {
        let reply = try exchange(.readRegion, access(region, offset, count))
        guard reply.payload.count == 16 + count else { throw UnexpectedReply(header: reply.header) }
        return Array(reply.payload[16...])
    }

    /// - Parameter posted: nobody waits for it, or hears that it failed.
    package func write(
        _ region: UInt32, _ offset: UInt64, _ bytes: [UInt8], posted: Bool = false
    ) throws {
        let request = access(region, offset, bytes.count) + bytes
        if posted {
            try send(Command.writeRegion.rawValue, request, flags: .noReply)
            try afterSending?()
        } else {
            _ = try exchange(.writeRegion, request)
        }
    }

    /// `flags` and `data` as VFIO has them: 0x24 assigns eventfds, 0x21 with a count of 0 disables the index.
    package func setInterrupts(
        _ index: UInt32, flags: UInt32, start: UInt32 = 0, count: UInt32, data: [UInt8] = [],
        descriptors: [Int32] = []
    ) throws {
        let request =
            fields {
                $0.u32(UInt32(20 + data.count))
                for field in [flags, index, start, count] { $0.u32(field) }
            } + data
        _ = try exchange(.setInterrupts, request, descriptors: descriptors)
    }

    package func reset() throws { _ = try exchange(.resetDevice) }

    private func access(_ region: UInt32, _ offset: UInt64, _ count: Int) -> [UInt8] {
        fields {
            $0.u64(offset); $0.u32(region); $0.u32(UInt32(count))
        }
    }

    private func fields(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        write(&writer)
        return writer.bytes
    }
}
