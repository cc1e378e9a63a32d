// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import Glibc
import HostFS
import HostOS
import StateArena

/// FUSE requests against a real directory: `u8 which share; u64 flags; RequestRecord…`. One of the shares has a DAX window, and
/// things happen beside its guest (`Beside`).
///
/// Whatever the guest does, nothing beside the shared directory is touched or read, a read-only share stays as it is, and
/// with the session's end everything is forgotten and every descriptor closed. No file is shown in the window but where it should be, and none
/// beyond the size that was announced for it.
final class HostFSTarget: FuzzTarget {
    private let tree: FuzzTree
    private let window = FuzzWindow()
    private let countsDescriptors: Bool
    private let shares: [(share: Share, end: FuseEnd, fileSystem: any FileSystem)]

    /// - Throws: what making a directory below $VFS_FUZZ_DIRECTORY (/dev/shm) or opening it fails with.
    init(countsDescriptors: Bool) throws {
        self.countsDescriptors = countsDescriptors
        tree = try FuzzTree()
        let window = window
        shares = try Self.options(tree.share).map { options in
            var capacities = StateArena.Capacities()
            capacities.inodes = 4096
            let share = try Share(
                options, arena: StateArena(capacities), root: try openSharedRoot(options),
                process: try OwnProcess(withTasks: options.needsTasks),
                window: options.dax == nil ? nil : window, mappable: window)
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
        var windowed = rich
        windowed.writeback = false
        windowed.dax = DAXOptions()
        windowed.dax?.minimumByteCount = 1
        return [plain, rich, bare, exclusive, readOnly, mapped, limited, windowed]
    }

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        let (share, end, fileSystem) = shares[Int(input.byte()) % shares.count]
        try tree.reset()
        window.begin()
        let free = try lowestFreeDescriptor()
        let outside = try tree.outsideStatus()
        let inside = share.options.readOnly ? try tree.insideStatus() : []
        if let filled = share.window { try run(&input, end, filled) } else { try end.run(&input) }
        // As a guest that goes: also brings the thread back to being the daemon.
        fileSystem.destroy()
        fileSystem.requestEnded()
        try window.checkEnd()
        try demand(try tree.outsideStatus() == outside, "something outside the share was touched")
        if share.options.readOnly {
            try demand(try tree.insideStatus() == inside, "a read-only share was changed")
        }
        try demand(share.knownInodes == 1, "\(share.knownInodes) inodes outlive their guest")
        try demand(share.guestDescriptors == 0, "\(share.guestDescriptors) descriptors count for nobody")
        if !countsDescriptors { return }
        try demand(try lowestFreeDescriptor() == free, "\(descriptorText(free)) outlives its guest")
    }

    /// Beside a guest with a window the VMM refuses, and files become shorter.
    private func run(_ input: inout FuzzInput, _ end: FuseEnd, _ filled: DAXWindow) throws {
        var cuts = 0
        try end.run(&input) { [window, tree] record in
            try window.check()
            switch Beside(rawValue: record.opcode) {
            case .refusal: window.refuse(maps: record.extra, unmaps: record.node)
            case .cut where cuts < Beside.mostCuts:
                let name = Beside.names[Int(record.node >> 1) % Beside.names.count]
                guard let file = tree.openRegular(name) else { return }
                cuts += 1
                let size = UInt64(record.extra) * 1024
                try window.announce(file.rawValue, size, to: filled)
                if record.node & 1 == 0 { ftruncate(file.rawValue, Int(size)) }
            default: break
            }
        }
        window.refuse(maps: 0, unmaps: 0)
    }
}
