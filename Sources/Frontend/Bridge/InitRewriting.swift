// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// INIT between a kernel that means /dev/fuse and a back-end that means virtio-fs: what one of the two cannot do must not
/// be agreed on.
enum InitRewriting {
    /// What a back-end behind a virtqueue can never do: lend descriptors, or take requests from an io_uring. And a time
    /// limit would end the mount for a lock that somebody waits for.
    static let impossible =
        InitFlags.passthrough | InitFlags.overIOUring | InitFlags.requestTimeout | InitFlags.mapAlignment
        | InitFlags.hasInodeDAX | InitFlags.submounts

    /// So many requests may be under way in the background where a back-end does not say: the kernel's own default of 12
    /// leaves its queues empty.
    static let backgroundRequests: UInt16 = 64

    /// What the kernel does not offer, and we do where we use the back-end's window ourselves.
    static let window = InitFlags.mapAlignment | InitFlags.hasInodeDAX

    /// The kernel's offer as the back-end gets it.
    static func request(_ offered: InitIn, withWindow: Bool = false) -> InitIn {
        var result = offered
        var flags = offered.allFlags & ~impossible
        // An older kernel has no second half, in which one of the two is.
        if withWindow && flags & InitFlags.initExtended != 0 { flags |= window }
        result.flags = UInt32(truncatingIfNeeded: flags)
        result.flags2 = UInt32(truncatingIfNeeded: flags >> 32)
        return result
    }

    /// The back-end's choice as the kernel gets it.
    ///
    /// - Parameters:
    ///   - request: what the back-end was offered.
    ///   - dataByteCount: how much data one request or reply can hold: a multiple of the page size.
    static func reply(_ reply: InitOut, to request: InitIn, dataByteCount: Int) -> InitOut {
        var result = reply
        result.setFlags(reply.allFlags & request.allFlags & ~impossible)
        result.maxWrite = min(reply.maxWrite, UInt32(clamping: dataByteCount))
        result.maxPages = min(reply.maxPages, UInt16(clamping: dataByteCount / 4096))
        result.mapAlignment = 0
        result.maxStackDepth = 0
        result.requestTimeout = 0
        result.maxBackground = max(reply.maxBackground, backgroundRequests)
        result.congestionThreshold = max(reply.congestionThreshold, result.maxBackground / 4 * 3)
        return result
    }
}

extension InitOut {
    /// `flags` and, where they are meant, `flags2`.
    var allFlags: UInt64 {
        let low = UInt64(flags)
        return low & InitFlags.initExtended == 0 ? low : low | UInt64(flags2) << 32
    }
}
