// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import VhostUser

// The daemon's DAX window, where a mount uses it.
extension Mount {
    /// What the window was good for so far; nil where none is used.
    package var windowCounts: WindowCounts? { reads?.counts }

    static func protocolFeatures(_ options: MountOptions) -> ProtocolFeatures {
        let features = FrontendOptions().protocolFeatures
        return options.windowByteCount == nil ? features : features.union(FrontendOptions.channelFeatures)
    }

    static func mappedReads(
        _ frontend: DeviceFrontend, _ options: MountOptions
    ) throws(StartupError) -> MappedReads? {
        guard let limit = options.windowByteCount else { return nil }
        if let window = frontend.windows[SharedMemoryWindows.cacheID],
            let reads = MappedReads(window, atMost: limit)
        {
            return reads
        }
        throw StartupError(
            operation: "use the DAX window of", subject: options.source,
            reason: "the daemon has none of at least 2 MiB", hint: "start it with --dax-window")
    }

    static func serveChannel(
        of frontend: DeviceFrontend, _ options: MountOptions
    ) throws(StartupError) -> ChannelThread? {
        do throws(Errno) { return try ChannelThread(frontend) } catch {
            throw StartupError(
                operation: "use the daemon of", subject: options.source, reason: describe(error))
        }
    }
}
