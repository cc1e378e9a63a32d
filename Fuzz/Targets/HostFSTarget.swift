// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostFS
import HostOS
import StateArena

/// FUSE requests against a real directory: `u8 which share; u64 flags; RequestRecord…`.
///
/// Whatever the guest does, nothing beside the shared directory is touched or read, a read-only share stays as it is, and
/// with the session's end everything is forgotten and every descriptor closed.
final class HostFSTarget: FuzzTarget {
    private let tree: FuzzTree
    private let countsDescriptors: Bool
    private let shares: [(share: Share, end: FuseEnd, fileSystem: any FileSystem)]

    /// - Throws: what making a directory below $VFS_FUZZ_DIRECTORY (/dev/shm) or opening it fails with.
    init(countsDescriptors: Bool) throws {
        self.countsDescriptors = countsDescriptors
        tree = try FuzzTree()
        shares = try Self.options(tree.share).map { options in
            var capacities = StateArena.Capacities()
            capacities.inodes = 4096
            let share = try Share(options, arena: StateArena(capacities))
            let fileSystem = try share.makeFileSystem(mayWait: true)
            return (share, FuseEnd(fileSystem), fileSystem)
        }
    }

    /// Together they turn every option on and off that changes what requests do.
    private static func options(_ path: String) throws -> [ShareOptions] {
        let plain = ShareOptions(sharedDirectory: Array(path.utf8))
        var rich = plain
        (rich.xattr, rich.posixACL, rich.posixLock, rich.flock) = (true, .auto, true, true)
        rich.writeback = true
        var bare = plain
        (bare.cache, bare.inodeFileHandles, bare.killprivV2) = (.never, .never, false)
        (bare.allowDirectIO, bare.securityLabel, bare.xattr) = (true, .auto, true)
        (bare.hotDescriptors, bare.preserveNoatime) = (1, true)
        var exclusive = plain
        (exclusive.cache, exclusive.exclusive, exclusive.hotDescriptors) = (.always, true, 2)
        var readOnly = rich
        (readOnly.readOnly, readOnly.exclusive) = (true, true)
        var mapped = rich
        mapped.users = try IdMap(
            parsing: Array("map:0:0:1000\nsquash-guest:1000:7:5000\nforbid-guest:65534:1".utf8))
        mapped.groups = mapped.users
        mapped.xattrMap = try XattrMap(parsing: Array(":map::user.virtiofs.:".utf8))
        var limited = plain
        (limited.limits.openFiles, limited.limits.inodes, limited.limits.waitingLocks) = (4, 8, 1)
        return [plain, rich, bare, exclusive, readOnly, mapped, limited]
    }

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        let (share, end, fileSystem) = shares[Int(input.byte()) % shares.count]
        try tree.reset()
        let free = try lowestFreeDescriptor()
        let outside = try tree.outsideStatus()
        let inside = share.options.readOnly ? try tree.insideStatus() : []
        try end.run(&input)
        // As a guest that goes: also brings the thread back to being the daemon.
        fileSystem.destroy()
        fileSystem.requestEnded()
        try demand(try tree.outsideStatus() == outside, "something outside the share was touched")
        if share.options.readOnly {
            try demand(try tree.insideStatus() == inside, "a read-only share was changed")
        }
        try demand(share.knownInodes == 1, "\(share.knownInodes) inodes outlive their guest")
        try demand(share.guestDescriptors == 0, "\(share.guestDescriptors) descriptors count for nobody")
        if !countsDescriptors { return }
        try demand(try lowestFreeDescriptor() == free, "\(descriptorText(free)) outlives its guest")
    }
}
