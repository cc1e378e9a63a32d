// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// A virtio-fs mount of this guest, and the ways to its objects. For one thread, whose file-system group it sets.
final class AgentMount {
    static let rootNode: UInt64 = 1
    private static let patience = 4
    private static let fuseMagic = 0x6573_5546
    private static let hint =
        "start its daemon with --cache shared --version-table PATH, as virtiofs vm --agent does"

    /// Where it is mounted, as the user says.
    let path: String
    /// The mount point.
    let mountPoint: OwnedDescriptor
    /// The node id of the change list.
    private let changeList: UInt64
    /// st_dev.
    let device: (major: UInt32, minor: UInt32)
    private var group: AgentGroup?
    /// Those in which names have changed, the last one last.
    private var directories: [(node: UInt64, file: SharedDescriptor)] = []
    private static let mostDirectories = 64

    /// Says what is missing for an agent to work here.
    init(_ path: String) throws(StartupError) {
        func failing<Result: ~Copyable>(
            _ operation: String, _ hint: String = "", _ body: () throws(Errno) -> Result
        ) throws(StartupError) -> Result {
            do throws(Errno) { return try body() } catch {
                throw StartupError(
                    operation: operation, subject: path, reason: describe(error), hint: hint)
            }
        }
        func unusable(_ reason: String, _ hint: String) -> StartupError {
            StartupError(operation: "follow", subject: path, reason: reason, hint: hint)
        }
        guard geteuid() == 0 else {
            throw unusable("we are not root", "run virtiofs-agent as root of the guest")
        }
        self.path = path
        let mountPoint = try failing("open") { () throws(Errno) in
            OwnedDescriptor(
                adopting: try systemCall { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
        }
        let status = try failing("look at") { () throws(Errno) in try FileStatus(of: mountPoint.rawValue) }
        device = (status.raw.stx_dev_major, status.raw.stx_dev_minor)
        guard Self.isFuse(mountPoint.rawValue),
            status.raw.stx_attributes & UInt64(STATX_ATTR_MOUNT_ROOT) != 0
                || status.raw.stx_attributes_mask & UInt64(STATX_ATTR_MOUNT_ROOT) == 0
        else {
            throw unusable(
                "it is no virtio-fs mount", "name a directory where a file system of type virtiofs is mounted"
            )
        }
        let handles = "this takes Linux 5.8 with CONFIG_FHANDLE, and the capability CAP_DAC_READ_SEARCH"
        let number = mountPoint.rawValue
        try failing("find objects by handle in", handles) { () throws(Errno) in
            _ = try systemCall { vfs_set_file_group(AgentGroup.look.rawValue) }
        }
        // The file system's, which a mount need not show.
        let root = try failing("find objects by handle in", handles) { () throws(Errno) in
            OwnedDescriptor(
                adopting: try systemCall {
                    vfs_open_node(number, Self.rootNode, O_RDONLY | O_DIRECTORY)
                })
        }
        do throws(Errno) {
            let list = try Self.openAt(root.rawValue, Array(ChangeList.fileName.utf8), O_PATH)
            changeList = try nodeID(of: list.rawValue)
        } catch .ENOENT {
            throw unusable("its daemon does not tell what others change", Self.hint)
        } catch {
            throw unusable("its daemon's change list: \(describe(error))", Self.hint)
        }
        self.mountPoint = mountPoint
        group = .look
    }

    private static func isFuse(_ descriptor: Int32) -> Bool {
        var status = statfs()
        return unsafe fstatfs(descriptor, &status) == 0 && Int(status.f_type) == fuseMagic
    }

    /// Here in the guest, where no call that changes anything gets as far as the daemon.
    var isReadOnly: Bool {
        var status = statvfs()
        return unsafe fstatvfs(mountPoint.rawValue, &status) == 0 && status.f_flag & UInt(ST_RDONLY) != 0
    }

    /// Opens the change list; EBUSY comes with its first READ. Not by its name: who watches the root would hear of each READ.
    func openChangeList() throws(Errno) -> OwnedDescriptor { try open(changeList, O_RDONLY) }

    /// From now on requests mean what this group says.
    func become(_ wanted: AgentGroup) throws(Errno) {
        if group == wanted { return }
        group = nil
        _ = try systemCall { vfs_set_file_group(wanted.rawValue) }
        group = wanted
    }

    /// The thread has asked by another group meanwhile.
    func forgetGroup() { group = nil }

    /// Opens an object as *look*. Without O_PATH only what may be opened without harm: regular files and directories.
    func open(_ node: UInt64, _ flags: Int32) throws(Errno) -> OwnedDescriptor {
        try become(.look)
        let number = mountPoint.rawValue
        return OwnedDescriptor(
            adopting: try systemCall { vfs_open_node(number, node, flags | O_NONBLOCK | O_NOFOLLOW) })
    }

    /// A directory in which names change, which stays open while others do not need its place: one whose name the kernel has
    /// dropped would have to be looked for from its parents, and who changes their names at the same time makes that fail.
    func openDirectory(_ node: UInt64) throws(Errno) -> SharedDescriptor {
        if let index = directories.firstIndex(where: { $0.node == node }) {
            let known = directories.remove(at: index)
            directories.append(known)
            return known.file
        }
        for _ in 0..<Self.patience {
            do throws(Errno) {
                let file = SharedDescriptor(try open(node, O_PATH | O_DIRECTORY))
                directories.append((node, file))
                if directories.count > Self.mostDirectories { directories.removeFirst() }
                return file
            } catch .ESTALE { continue }
        }
        throw .ESTALE
    }

    /// What is open for later is closed.
    func closeDirectories() { directories = [] }

    /// Opens a name, which is not followed, by the group that is set.
    func openAt(_ directory: Int32, _ name: [UInt8], _ flags: Int32) throws(Errno) -> OwnedDescriptor {
        try Self.openAt(directory, name, flags)
    }

    private static func openAt(
        _ directory: Int32, _ name: [UInt8], _ flags: Int32
    ) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(
            adopting: try unsafe withName(name) { (name) throws(Errno) in
                try systemCall { unsafe openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC) }
            })
    }

    /// Drops all names that nobody uses, and with them what is cached of their objects.
    func dropUnusedNames() throws(Errno) {
        let number = mountPoint.rawValue
        _ = try systemCall { vfs_drop_unused_names(number) }
    }
}

/// The node id of an object of a FUSE mount.
func nodeID(of descriptor: Int32) throws(Errno) -> UInt64 {
    var node: UInt64 = 0
    _ = try systemCall { unsafe vfs_node_id(descriptor, "", 0, &node) }
    return node
}

/// Calls `body` with the bytes and a NUL.
func withName<Result>(
    _ name: [UInt8], _ body: (UnsafePointer<CChar>) throws(Errno) -> Result
) throws(Errno) -> Result {
    let text = name.map { CChar(bitPattern: $0) } + [0]
    return try unsafe text.withUnsafeBufferPointer { (buffer) throws(Errno) -> Result in
        guard let base = buffer.baseAddress else { throw .EINVAL }
        return try unsafe body(base)
    }
}
