// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The shared memory regions 1 and 2: the version table and, behind it, the journal, in one file that the VMM maps for the
/// guest to read at the speed of memory.
///
/// Each has a size of its own, both are multiples of 2 MiB, which is what a guest can map. The VMM gets a descriptor that cannot write.
package final class TableMemory: Sendable {
    package static let unit: UInt64 = 2 << 20
    private static let privateByteCount: UInt64 = 4096
    /// In bytes; 0 for none.
    package let tableByteCount: UInt64
    package let journalByteCount: UInt64
    /// Open for reading only.
    private let descriptor: OwnedDescriptor

    /// Zeros, for nobody to write: what a guest sees where no daemon keeps a table.
    ///
    /// - Throws: EINVAL for sizes that are no multiples of `unit`; what memfd_create(2) fails with.
    package convenience init(tableByteCount: UInt64, journalByteCount: UInt64) throws(Errno) {
        guard let total = Self.total(tableByteCount, journalByteCount) else { throw .EINVAL }
        let file = try makeMemoryFile(name: "tables", byteCount: total)
        try self.init(
            try reopenForReading("/proc/self/fd/\(file.rawValue)"), tableByteCount: tableByteCount,
            journalByteCount: journalByteCount)
    }

    /// The file at `path`, which others write: the journal is its end, the table all before. A page behind the journal is the
    /// writers' own (docs/version-table.md) and not shown.
    ///
    /// - Throws: EINVAL for sizes that do not fit; what open(2) fails with.
    package convenience init(path: String, journalByteCount: UInt64) throws(Errno) {
        let file = try reopenForReading(path)
        let number = file.rawValue
        var status = stat()
        _ = try systemCall { unsafe fstat(number, &status) }
        guard status.st_mode & S_IFMT == S_IFREG, let all = UInt64(exactly: status.st_size) else {
            throw .EINVAL
        }
        let size = all % Self.unit == Self.privateByteCount ? all - Self.privateByteCount : all
        guard size > journalByteCount,
            Self.total(size - journalByteCount, journalByteCount) != nil
        else { throw .EINVAL }
        try self.init(file, tableByteCount: size - journalByteCount, journalByteCount: journalByteCount)
    }

    private init(
        _ descriptor: consuming OwnedDescriptor, tableByteCount: UInt64, journalByteCount: UInt64
    ) throws(Errno) {
        self.descriptor = descriptor
        self.tableByteCount = tableByteCount
        self.journalByteCount = journalByteCount
    }

    package var byteCount: UInt64 { tableByteCount + journalByteCount }
    package var file: Int32 { descriptor.rawValue }

    /// The bytes from `offset` on, for a VMM that does not map them. EIO when the file has become shorter.
    func read(_ offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let number = file
        let done = try systemCall { unsafe pread(number, &bytes, count, Int(offset)) }
        guard done == count else { throw .EIO }
        return bytes
    }

    private static func total(_ table: UInt64, _ journal: UInt64) -> Int? {
        let (sum, overflow) = table.addingReportingOverflow(journal)
        guard !overflow, sum > 0, sum <= 1 << 40, table % unit == 0, journal % unit == 0 else { return nil }
        return Int(sum)
    }
}

private func reopenForReading(_ path: String) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(adopting: try systemCall { unsafe open(path, O_RDONLY | O_CLOEXEC) })
}
