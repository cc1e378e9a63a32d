// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

// SETUPMAPPING and REMOVEMAPPING: files in the device's DAX window. The VMM's answer takes some hundred microseconds, for which a
// worker does not wait.
extension HostFS {
    /// The guest has opened the file, but does not say by which handle: a descriptor of the window's own.
    package func setupMapping(
        _ caller: Caller, nodeID: NodeID, _ arguments: SetupMappingIn
    ) throws(Errno) {
        let window = try window()
        let isReadOnly = isReadOnly
        if isReadOnly, arguments.flags & SetupMappingIn.write != 0 || !options.mapsReadOnly { throw .EROFS }
        enterDaemon()
        let record = try hold(nodeID)
        guard record.type == FileType.regular else { throw .EINVAL }
        let status = try FileStatus(of: try descriptor(of: record, nodeID))
        try window.setUp(status, arguments, writable: !isReadOnly) { () throws(Errno) in
            try reopen(nodeID, flags: (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY)
        }
    }

    package func removeMapping(_ caller: Caller, _ pieces: RemoveMappingList) throws(Errno) {
        let window = try window()
        var failure: Errno?
        for index in 0..<pieces.count {
            do throws(Errno) { try window.remove(pieces[index]) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    private func window() throws(Errno) -> DAXWindow {
        guard let window = share.window else { throw .ENOSYS }
        if !mayWait { throw .mustWait }
        return window
    }

    /// The guest is about to be told of a file's attributes: it never believes in more than is mapped. Whether it is to access the file
    /// through the window.
    func noteAttributes(_ status: FileStatus) -> Bool {
        guard let window = share.window else { return false }
        guard status.type == FileType.regular else { return false }
        let isChosen = isNegotiated(InitFlags.hasInodeDAX)
        let isTaken = isChosen && window.grants.takes(status, readOnly: isReadOnly)
        if isTaken || !isChosen && isNegotiated(InitFlags.mapAlignment) {
            window.note(status)
        } else if window.hasLimits {
            window.tell(FileKey(status))
        }
        return isTaken
    }

    /// Whether the guest accesses a file through the window.
    func isMapped(_ node: NodeID) -> Bool {
        guard let window = share.window, isNegotiated(InitFlags.mapAlignment) else { return false }
        guard isNegotiated(InitFlags.hasInodeDAX) else { return true }
        return (try? hold(node)).map { window.grants.has($0.identity) } ?? false
    }

    /// The guest is about to change a file that others may be making shorter: whether they have, only the time before tells.
    func noteChange(_ file: Int32) {
        guard let window = share.window, window.hasLimits, let status = try? FileStatus(of: file) else {
            return
        }
        window.tell(FileKey(status))
    }

    /// The guest has made a file reach to `offset` + `count` at least, and will know without being told.
    ///
    /// - Parameter isEnd: it believed in no more before.
    func noteGrowth(_ node: NodeID, _ file: Int32, _ offset: Int, _ count: Int, isEnd: Bool = false) {
        guard let window = share.window, let record = try? hold(node) else { return }
        let end = UInt64(clamping: offset) + UInt64(clamping: count)
        window.noteGrowth(FileKey(record.identity), file, to: end, isEnd: isEnd)
    }

    /// The guest has set a file's size, or other attributes of it only (nil).
    func noteSetting(_ node: NodeID, size: UInt64?) {
        guard let window = share.window, let record = try? hold(node) else { return }
        window.noteSetting(FileKey(record.identity), size: size)
    }
}

extension FileKey {
    init(_ identity: Identity) { self.init(device: identity.device, number: identity.number) }
}

extension ShareOptions {
    fileprivate var mapsReadOnly: Bool { dax?.mapsReadOnly ?? false }
}
