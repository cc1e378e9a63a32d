// SPDX-License-Identifier: Apache-2.0

/// Writes the archive format of an initramfs: "newc" cpio, as described in the kernel's
/// Documentation/driver-api/early-userspace/buffer-format.rst.
///
/// Every entry: 6 bytes magic, 13 fields of 8 hexadecimal digits, the name with its NUL padded to 4 bytes, the data
/// padded to 4 bytes. Times and owners are 0, so the same input gives the same archive.
package struct CpioArchive {
    private var output: [UInt8] = []
    private var nextInode: UInt32 = 1

    package init() {}

    package mutating func addDirectory(_ name: String, permissions: UInt32 = 0o755) {
        add(name, mode: 0o040000 | permissions, data: [])
    }

    package mutating func addFile(_ name: String, _ data: [UInt8], permissions: UInt32 = 0o644) {
        add(name, mode: 0o100000 | permissions, data: data)
    }

    package mutating func addSymbolicLink(_ name: String, to target: String) {
        add(name, mode: 0o120777, data: Array(target.utf8))
    }

    package mutating func addCharacterDevice(
        _ name: String, major: UInt32, minor: UInt32, permissions: UInt32 = 0o600
    ) {
        add(name, mode: 0o020000 | permissions, data: [], device: (major, minor))
    }

    /// The archive with its end mark; the writer must not be used afterwards.
    package consuming func finish() -> [UInt8] {
        nextInode = 0
        add("TRAILER!!!", mode: 0, data: [])
        return output
    }

    private mutating func add(_ name: String, mode: UInt32, data: [UInt8], device: (UInt32, UInt32) = (0, 0))
    {
        let nameBytes = Array(name.utf8) + [0]
        output += Array("070701".utf8)
        let links: UInt32 = mode & 0o170000 == 0o040000 ? 2 : 1
        for field: UInt32 in [
            nextInode, mode, 0, 0, links, 0, UInt32(clamping: data.count), 0, 0, device.0, device.1,
            UInt32(clamping: nameBytes.count), 0,
        ] {
            appendHexadecimal(field)
        }
        output += nameBytes
        pad()
        output += data
        pad()
        nextInode += 1
    }

    private mutating func appendHexadecimal(_ value: UInt32) {
        let digits = Array("0123456789ABCDEF".utf8)
        for shift in stride(from: 28, through: 0, by: -4) {
            output.append(digits[Int(value >> UInt32(shift)) & 15])
        }
    }

    private mutating func pad() {
        while output.count % 4 != 0 { output.append(0) }
    }
}
