// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors
import HostFS

/// `--dax-window`.
struct WindowSettings: Sendable, Equatable {
    /// A power of two.
    var byteCount: Int
    var dialect: MappingDialect
}

extension DaemonOptions {
    mutating func setWindow(_ arguments: WindowArguments) throws(StartupError) {
        guard let value = arguments.daxWindow else {
            for (option, isGiven) in [
                ("--dax-min-size", arguments.daxMinSize != nil), ("--dax-read-only", arguments.daxReadOnly),
                ("--dax-messages", arguments.daxMessages != nil),
            ] where isGiven {
                throw StartupError(
                    operation: "use", subject: option, reason: "there is no DAX window",
                    hint: "say how large it is to be: --dax-window SIZE")
            }
            return
        }
        var dialect = MappingDialect.shmem
        if let word = arguments.daxMessages {
            dialect = try parse(word, as: "kind of messages", spelled: spelling("--dax-messages", word))
        }
        // QEMU 11.1 aborts beyond 512 regions of memory, of which each chunk of 2 MiB is one. The old ones know no such limit.
        let largest: UInt64 = dialect == .shmem ? 512 << 20 : 64 << 30
        let size = try parseQuantity(value, option: "--dax-window")
        guard size.nonzeroBitCount == 1, DAXWindow.chunkByteCount...largest ~= size else {
            throw StartupError(
                operation: "use", subject: spelling("--dax-window", value),
                reason: "a window is a power of two from 2M to \(dialect == .shmem ? "512M" : "64G")",
                hint: "such as --dax-window 256M")
        }
        var options = DAXOptions()
        if let value = arguments.daxMinSize {
            options.minimumByteCount = try parseQuantity(value, option: "--dax-min-size")
        }
        options.mapsReadOnly = arguments.daxReadOnly
        share.dax = options
        window = WindowSettings(byteCount: Int(size), dialect: dialect)
        if share.readOnly, !options.mapsReadOnly {
            warnings.append(
                "--dax-window on a --readonly share: QEMU maps only what may be written, so no file is accessed through the window; "
                    + "say --dax-read-only for a VMM that maps read-only descriptors")
        }
        if tag == nil, dialect == .shmem {
            warnings.append(
                "--dax-window without --tag: QEMU's vhost-user-test-device-pci and crosvm ask the daemon for the tag"
            )
        }
    }
}
