// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

extension FuseServer {
    /// What INIT offers: as many pages as the biggest ring of QEMU leaves for data (1024 descriptors, of which the guest
    /// sets four apart). Linux takes the smaller of this and its own limit, 256 pages unless fs.fuse.max_pages_limit says
    /// more. Bulk data never passes through scratch, so the size costs nothing here; an iovec array of 1024 entries, which
    /// is also the most that preadv(2) takes, holds it.
    static var maximumPages: UInt16 { 1020 }
    static var maximumWrite: UInt32 { UInt32(maximumPages) * 4096 }
    /// How many reads ahead, writebacks and releases may be under way at a time. The guest's default of 12 starves its
    /// queues; more than a ring has descriptors cannot be on their way.
    static var maximumBackground: UInt16 { 1024 }

    /// Granted whenever the guest offers them, whatever the file system.
    static var ownFlags: UInt64 {
        InitFlags.asyncRead | InitFlags.bigWrites | InitFlags.hasIoctlDir
            | InitFlags.asyncDirectIO | InitFlags.parallelDirectoryOps | InitFlags.maxPages
            | InitFlags.initExtended
    }

    /// Granted when the file system wants them. All others need what this server has not: a channel to the guest
    /// (notifications, splice, io_uring, passthrough), or a time limit.
    static var fileSystemFlags: UInt64 {
        InitFlags.posixLocks | InitFlags.atomicTruncate | InitFlags.exportSupport | InitFlags.dontMask
            | InitFlags.flockLocks
            | InitFlags.autoInvalidateData | InitFlags.doReaddirplus | InitFlags.readdirplusAuto
            | InitFlags.writebackCache | InitFlags.handleKillPriv | InitFlags.posixACL
            | InitFlags.cacheSymlinks
            | InitFlags.explicitInvalidateData | InitFlags.submounts | InitFlags.handleKillPrivV2
            | InitFlags.setxattrExtended | InitFlags.securityContext | InitFlags.createSupplementaryGroup
            | InitFlags.directIOAllowMmap | InitFlags.noExportSupport | InitFlags.allowIdmap
            | InitFlags.mapAlignment | InitFlags.hasInodeDAX
    }

    func initialize(_ request: inout Request) throws(Errno) -> Answer {
        // Later versions make the struct longer; earlier ones sent less of it.
        let bytes = try unsafe request.rest(atLeast: InitIn.shortByteCount)
        var offered = InitIn()
        unsafe withUnsafeMutableBytes(of: &offered) { copy in
            unsafe copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(copy.count)))
        }
        try request.reserve(InitOut.self)
        var reply = InitOut()
        reply.major = ProtocolVersion.major
        reply.minor = ProtocolVersion.minor
        // A newer guest asks again in our version, and ignores the rest.
        if offered.major > ProtocolVersion.major { return request.answer(reply) }
        guard offered.major == ProtocolVersion.major, offered.minor >= ProtocolVersion.oldestMinor else {
            throw request.refuse(.badVersion)
        }

        guard session.beginChange() else { throw request.refuse(.noSession) }
        let choice: InitChoice
        do throws(Errno) {
            var offer = InitOffer(
                minor: offered.minor, flags: offered.allFlags, maxReadahead: offered.maxReadahead)
            offer.follower = offered.follower
            choice = try fileSystem.initialize(offer)
        } catch {
            session.stop()
            throw error
        }
        let agreed = offered.allFlags & (Self.ownFlags | choice.flags & Self.fileSystemFlags)
        session.start(
            minor: min(offered.minor, ProtocolVersion.minor), flags: agreed, maxWrite: Self.maximumWrite)

        reply.maxReadahead = offered.maxReadahead
        reply.setFlags(agreed)
        reply.maxBackground = Self.maximumBackground
        reply.congestionThreshold = Self.maximumBackground / 4 * 3
        reply.maxWrite = Self.maximumWrite
        reply.timeGranularity = 1
        reply.mapAlignment = agreed & InitFlags.mapAlignment == 0 ? 0 : choice.mapAlignment
        reply.maxPages = agreed & InitFlags.maxPages == 0 ? 0 : Self.maximumPages
        reply.tellsSlots = choice.tellsSlots
        return request.answer(reply)
    }

    func destroy(_ request: inout Request) throws(Errno) -> Answer {
        try request.end()
        guard session.beginChange() else { throw request.refuse(.noSession) }
        fileSystem.destroy()
        session.stop()
        // Linux wants a reply, even of a request that ends the session.
        return .empty
    }

    func interrupt(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: InterruptIn = try request.last()
        fileSystem.interrupt(Unique(rawValue: arguments.unique))
        return .silent
    }
}
