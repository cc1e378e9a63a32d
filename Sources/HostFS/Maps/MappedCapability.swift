// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A name as system calls take it, for as long as the object lives.
@safe final class OwnedName {
    let cString: UnsafePointer<CChar>

    init(_ name: [UInt8]) {
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: name.count + 1)
        for (index, byte) in name.enumerated() { unsafe copy[index] = CChar(bitPattern: byte) }
        unsafe copy[name.count] = 0
        unsafe cString = UnsafePointer(copy)
    }

    deinit { unsafe cString.deallocate() }
}

// A file that is written, cut or given away loses its capabilities. For security.capability the host's kernel sees to that; where
// the xattr map gives it another name the kernel knows nothing of it, so we do. Before the change: nothing may ever run with what
// others have written and with rights that were meant for something else.
//
// Each WRITE asks again, although the attribute is hardly ever there: a program of the host or another guest may have set it since.
extension HostFS {
    /// Takes the capabilities of the file open as `number`, which may be O_PATH, where they have another name. The thread is
    /// the daemon afterwards, if there is such a name.
    ///
    /// - Throws: when they are there and cannot be taken away.
    func dropMappedCapability(_ number: Int32) throws(Errno) {
        guard let mappedCapability else { return }
        enterDaemon()
        let (path, name) = unsafe (processName(of: number), mappedCapability.cString)
        do throws(Errno) { try unsafe removeAttribute(path, name) } catch {
            switch error {
            case .ENODATA, .EOPNOTSUPP: return
            // Also said where there is none: of trusted.* to who lacks CAP_SYS_ADMIN, of links and devices, and of user.* to an
            // ordinary user whose file is not writable.
            case .EPERM, .EACCES: if unsafe !lists(path, name) { return }
            default: break
            }
            throw error
        }
    }

    /// Whether the attribute is there as far as we can see, for which no permission is needed. True if that cannot be told.
    private func lists(_ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>) -> Bool {
        unsafe withUnsafeTemporaryAllocation(byteCount: Self.listMaximum, alignment: 1) { list in
            guard let count = try? unsafe listAttributes(path, into: list) else { return true }
            let wanted = unsafe UnsafeRawBufferPointer(start: name, count: strlen(name))
            return unsafe list.prefix(count).split(separator: 0).contains { unsafe $0.elementsEqual(wanted) }
        }
    }
}
