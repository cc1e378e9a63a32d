// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc
import HostOS
import StateArena

/// What a request does with an open file.
enum FileUse {
    case reading
    case writing

    /// Whether a descriptor with these open(2) flags will do.
    func isServed(by flags: Int32) -> Bool {
        flags & O_ACCMODE == O_RDWR || flags & O_ACCMODE == (self == .reading ? O_RDONLY : O_WRONLY)
    }
}

// Zero-message open (`--exclusive`, and directories of a front-end that follows the version table): a guest whose OPEN and OPENDIR were answered with ENOSYS opens without asking. Its requests
// say handle 0 and its files are never released. So each inode that is in use has a handle of ours, kept by `OpenNodes`,
// opened when a request needs it, for no more than it needs, and closed when others are needed more. What the guest removes
// stays reachable by `keepKnown`.
extension HostFS {
    /// Whether the guest opens objects of this type without asking.
    func opensByNode(_ type: UInt32) -> Bool {
        switch type {
        case FileType.regular: options.exclusive && isNegotiated(InitFlags.noOpenSupport)
        case FileType.directory: opensSomethingByNode && isNegotiated(InitFlags.noOpendirSupport)
        default: false
        }
    }

    private var opensSomethingByNode: Bool { options.exclusive || tellsSlots }

    var opensFilesByNode: Bool { opensByNode(FileType.regular) }

    /// Whether `handle` is what the guest says of something that it has opened without asking.
    func isWithoutHandle(_ handle: UInt64) -> Bool { handle == 0 && opensSomethingByNode }

    /// A handle for `node`, held until the request ends. EBADF if the guest has to open such an object first.
    func holdByNode(_ node: NodeID, kind: HandleKind?, for use: FileUse) throws(Errno) -> HandleRecord {
        guard opensSomethingByNode else { throw .EBADF }
        if let known = try holdKnown(node, kind: kind, for: use) { return known }
        let type = try type(of: node)
        let found: HandleKind = type == FileType.directory ? .directory : .file
        guard opensByNode(type), kind == nil || kind == found else { throw .EBADF }
        enterDaemon()
        switch (found, use) {
        case (.directory, _): return try keepOpen(node, .directory, O_RDONLY | O_DIRECTORY)
        case (.file, .reading): return try keepOpen(node, .file, O_RDONLY)
        case (.file, .writing): return try keepOpenForWriting(node)
        }
    }

    private func holdKnown(_ node: NodeID, kind: HandleKind?, for use: FileUse) throws(Errno) -> HandleRecord?
    {
        guard let handle = share.openNodes.find(node) else { return nil }
        let mark = pins.count
        // EBADF: another worker has replaced it meanwhile.
        if let record = try? holdGiven(handle, of: node, kind: kind),
            record.kind == HandleKind.directory.rawValue || use.isServed(by: record.flags)
        {
            return record
        }
        pins.truncate(to: mark)
        return nil
    }

    /// Readable too, if that may be, so that a file that is written and read needs one descriptor. An append-only file is not
    /// opened without O_APPEND.
    private func keepOpenForWriting(_ node: NodeID) throws(Errno) -> HandleRecord {
        try requireWritable()
        do throws(Errno) { return try keepOpen(node, .file, O_RDWR) } catch {
            switch error {
            case .EACCES: return try keepOpen(node, .file, O_WRONLY)
            case .EPERM: return try keepOpen(node, .file, O_RDWR | O_APPEND)
            default: throw error
            }
        }
    }

    private func keepOpen(_ node: NodeID, _ kind: HandleKind, _ flags: Int32) throws(Errno) -> HandleRecord {
        let opened = try reopen(node, flags: flags | O_CLOEXEC | O_NOCTTY)
        return try keepOpen(opened, node, kind, flags)
    }

    /// Keeps an open file or directory as the handle that serves `node`.
    @discardableResult
    func keepOpen(
        _ opened: consuming OwnedDescriptor, _ node: NodeID, _ kind: HandleKind, _ flags: Int32
    ) throws(Errno) -> HandleRecord {
        makeRoom()
        let handle = try addHandle(opened, node: node, kind: kind, flags: flags).rawValue
        // Held before others can find it and let it go again.
        let record = try holdGiven(handle, of: node, kind: kind)
        if let earlier = share.openNodes.insert(node, handle) { closeOpen(earlier) }
        // A FORGET that came meanwhile has not seen it.
        if share.inodes.slots.find(node.rawValue) == nil { closeOpen(node) }
        return record
    }

    /// Closes what can be opened again if the guest makes us hold as much as may be.
    func makeRoom() {
        while share.quota.isUsedUp || options.limits.openFiles != nil && share.handles.isFull,
            let idle = share.openNodes.removeAny()
        { closeOpen(idle) }
    }

    /// The guest has no more use for what serves `node`.
    func closeOpen(_ node: NodeID) {
        if let handle = share.openNodes.remove(node) { closeOpen(handle) }
    }

    /// Closes a handle that serves an inode, taken out of `OpenNodes`.
    func closeOpen(_ handle: UInt64) {
        guard let slot = share.handles.retire(handle) else { return }
        let record = share.handles.record(slot)
        let mark = pins.count
        try? outlive(record.descriptor, NodeID(rawValue: record.node))
        pins.truncate(to: mark)
        share.retire(.handle(slot))
    }
}

extension HandleRecord {
    /// open(2) flags of the descriptor.
    var flags: Int32 { Int32(bitPattern: openFlags) }
}
