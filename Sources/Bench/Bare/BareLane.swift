// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Carries out the steps of a script by system calls.
@safe final class BareLane {
    /// Where an object is, and an O_PATH descriptor of it once something has needed one; else −1.
    private struct Node {
        var parent: Int32 = -1
        var name = NameSlot.lane
        var descriptor: Int32 = -1
    }
    private var nodes: [Node]
    private var handles: [Int32]
    /// Each with its NUL; the first is the lane's own.
    private var names: [[CChar]]
    private var position: FilePosition
    private let buffer: UnsafeMutableRawBufferPointer

    /// - Parameter buffer: for the data of READ, WRITE and listings.
    init(_ script: Script, _ index: Int, root: Int32, _ buffer: UnsafeMutableRawBufferPointer) {
        nodes = Array(repeating: Node(), count: script.nodeCount)
        nodes[NodeSlot.directory.index].descriptor = root
        handles = Array(repeating: -1, count: script.handleCount)
        names = script.names.map { $0.map { CChar(bitPattern: $0) } + [0] }
        position = FilePosition(lane: index)
        unsafe self.buffer = buffer
        names[0] = Self.name(index)
    }

    /// Another lane that knows all that `other` knows.
    init(copying other: BareLane, _ index: Int, _ buffer: UnsafeMutableRawBufferPointer) {
        (nodes, handles, names) = (other.nodes, other.handles, other.names)
        position = FilePosition(lane: index)
        unsafe self.buffer = buffer
        names[0] = Self.name(index)
    }

    private static let times = Array(repeating: timespec(tv_sec: 1_600_000_000, tv_nsec: 0), count: 2)

    private static func name(_ index: Int) -> [CChar] { "lane\(index)".utf8.map { CChar($0) } + [0] }

    /// Closes what `lanes` have open, but for the test's own directory.
    static func close(_ lanes: [BareLane]) {
        let all = lanes.flatMap { lane in
            lane.handles + lane.nodes.dropFirst().map(\.descriptor)
        }
        for descriptor in Set(all) where descriptor >= 0 { _ = Glibc.close(descriptor) }
    }

    // MARK: Steps

    func carryOut(_ steps: [Step]) throws(Errno) {
        for index in 0..<steps.count { try carryOut(steps[index]) }
    }

    private func carryOut(_ step: Step) throws(Errno) {
        switch step {
        case .lookup(let parent, let name, let node):
            try look(at: parent, name, node)
        case .lookupMissing(let parent, let name):
            let directory = try descriptor(parent)
            do throws(Errno) { _ = try unsafe FileStatus(directory, names[name.index]) } catch {
                guard error == .ENOENT else { throw error }
                return
            }
            throw .EEXIST
        case .forget(let node, _): drop(node)
        case .forgetListed: break
        case .getattr(let node): _ = try FileStatus(of: try descriptor(node))
        case .chmod, .setTimes, .chown: try setAttributes(step)
        case .create(let parent, let name, let node, let handle):
            let directory = try descriptor(parent)
            let flags = O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC
            let file = try systemCall { unsafe openat(directory, names[name.index], flags, 0o644) }
            handles[handle.index] = file
            _ = try FileStatus(of: file)
            note(node, directory, name)
        case .open(let node, let handle, let flags):
            handles[handle.index] = try open(node, Int32(bitPattern: flags))
        case .opendir(let node, let handle): handles[handle.index] = try open(node, O_DIRECTORY)
        case .release(_, let handle), .releasedir(_, let handle):
            let file = handles[handle.index]
            handles[handle.index] = -1
            _ = try systemCall { Glibc.close(file) }
        case .read, .write: try transfer(step)
        case .list(_, let handle, _): try list(handles[handle.index])
        case .mkdir(let parent, let name, let node):
            let directory = try descriptor(parent)
            try unsafe makeDirectory(directory, names[name.index], mode: 0o755)
            try look(at: parent, name, node)
        case .symlink(let parent, let name, let target, let node):
            let directory = try descriptor(parent)
            try unsafe makeSymbolicLink(directory, names[name.index], target: names[target.index])
            try look(at: parent, name, node)
        case .rmdir(let parent, let name):
            try unsafe removeName(try descriptor(parent), names[name.index], ofDirectory: true)
        case .unlink(let parent, let name):
            try unsafe removeName(try descriptor(parent), names[name.index])
        case .rename(let parent, let old, let new):
            let directory = try descriptor(parent)
            try unsafe renameName(directory, names[old.index], to: directory, names[new.index], flags: 0)
        case .readlink(let node, _):
            let (parent, name) = (nodes[node.index].parent, names[nodes[node.index].name.index])
            guard let base = unsafe buffer.baseAddress else { throw .EINVAL }
            _ = try systemCall {
                unsafe readlinkat(parent, name, base.assumingMemoryBound(to: CChar.self), buffer.count)
            }
        case .setxattr, .getxattr: try useAttribute(step)
        case .statfs(let node): _ = try fileSystemStatus(of: try descriptor(node))
        }
    }

    private func look(at parent: NodeSlot, _ name: NameSlot, _ node: NodeSlot) throws(Errno) {
        let directory = try descriptor(parent)
        _ = try unsafe FileStatus(directory, names[name.index])
        note(node, directory, name)
    }

    private func setAttributes(_ step: Step) throws(Errno) {
        guard let slot = step.node else { return }
        let node = nodes[slot.index]
        switch step {
        case .chmod(_, let mode):
            _ = try systemCall { unsafe fchmodat(node.parent, names[node.name.index], mode, 0) }
            _ = try unsafe FileStatus(node.parent, names[node.name.index])
        case .setTimes(_, let handle):
            let object = if let handle { handles[handle.index] } else { try descriptor(slot) }
            _ = try systemCall { unsafe vfs_utimens_fd(object, Self.times) }
            _ = try FileStatus(of: object)
        case .chown(_, let handle):
            let object = if let handle { handles[handle.index] } else { try descriptor(slot) }
            _ = try systemCall { vfs_chown_fd(object, geteuid(), getegid()) }
            _ = try FileStatus(of: object)
        default: break
        }
    }

    private func transfer(_ step: Step) throws(Errno) {
        guard let base = unsafe buffer.baseAddress else { throw .EINVAL }
        let (count, size): (Int, UInt32)
        switch step {
        case .read(_, let handle, let place, let wanted):
            let offset = Int(position.next(place, size: wanted))
            size = wanted
            count = try systemCall { unsafe pread(handles[handle.index], base, Int(wanted), offset) }
        case .write(_, let handle, let place, let wanted):
            let offset = Int(position.next(place, size: wanted))
            size = wanted
            count = try systemCall { unsafe pwrite(handles[handle.index], base, Int(wanted), offset) }
        default: return
        }
        guard count == Int(size) else { throw .EIO }
    }

    /// Reads a directory to its end, with the status of each entry.
    private func list(_ directory: Int32) throws(Errno) {
        guard let base = unsafe buffer.baseAddress else { throw .EINVAL }
        while true {
            let count = try systemCall { unsafe getdents64(directory, base, Script.listByteCount) }
            if count == 0 { return }
            var start = 0
            while start < count {
                // struct linux_dirent64: d_reclen at 16, d_name at 19. The kernel wrote it a moment ago.
                let length = Int(unsafe base.load(fromByteOffset: start + 16, as: UInt16.self))
                let name = unsafe (base + start + 19).assumingMemoryBound(to: CChar.self)
                if unsafe strcmp(name, ".") != 0, unsafe strcmp(name, "..") != 0 {
                    _ = try unsafe FileStatus(directory, name)
                }
                start += length
            }
        }
    }

    private func useAttribute(_ step: Step) throws(Errno) {
        guard let node = step.node else { return }
        var path = InlineArray<32, CChar>(repeating: 0)
        let object = try descriptor(node)
        var span = path.mutableSpan
        try unsafe span.withUnsafeMutableBufferPointer { path throws(Errno) in
            guard let path = path.baseAddress else { return }
            _ = unsafe stpcpy(path, "/proc/self/fd/")
            unsafe vfs_format_fd(object, path + 14)
            switch step {
            case .setxattr(_, let name, let value):
                let bytes = names[value.index]
                _ = try systemCall {
                    unsafe setxattr(path, names[name.index], bytes, bytes.count - 1, 0)
                }
            case .getxattr(_, let name, _):
                _ = try systemCall {
                    unsafe getxattr(path, names[name.index], buffer.baseAddress, buffer.count)
                }
            default: break
            }
        }
    }

    // MARK: Objects

    private func note(_ node: NodeSlot, _ parent: Int32, _ name: NameSlot) {
        let known = nodes[node.index]
        if known.parent == parent, known.name == name { return }
        drop(node)
        nodes[node.index] = Node(parent: parent, name: name)
    }

    private func drop(_ node: NodeSlot) {
        if nodes[node.index].descriptor >= 0 { _ = Glibc.close(nodes[node.index].descriptor) }
        nodes[node.index] = Node()
    }

    /// Opened when it is first needed, and kept while the guest would know the object.
    private func descriptor(_ slot: NodeSlot) throws(Errno) -> Int32 {
        let node = nodes[slot.index]
        if node.descriptor >= 0 { return node.descriptor }
        let flags = O_PATH | O_NOFOLLOW | O_CLOEXEC
        let descriptor = try systemCall { unsafe openat(node.parent, names[node.name.index], flags) }
        nodes[slot.index].descriptor = descriptor
        return descriptor
    }

    private func open(_ slot: NodeSlot, _ flags: Int32) throws(Errno) -> Int32 {
        let node = nodes[slot.index]
        return try systemCall {
            unsafe openat(node.parent, names[node.name.index], flags | O_NOFOLLOW | O_CLOEXEC)
        }
    }
}
