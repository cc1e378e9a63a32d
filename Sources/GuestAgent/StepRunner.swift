// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// Has the guest's kernel make the calls that steps come to (docs/agent.md).
struct StepRunner {
    private static let patience = 20

    let mount: AgentMount

    func run(_ step: Step) throws(Errno) {
        switch step {
        case .attributes(let target): try attributes(target)
        case .content(let target): try content(target)
        case .appear(let place, let type, let isWhole): try appear(place, type, isWhole: isWhole)
        case .vanish(let place): try vanish(place)
        case .leave(let place): try leave(place)
        case .move(let from, let to, let type): try move(from, to, type)
        }
    }

    // MARK: objects

    private func attributes(_ target: Target) throws(Errno) {
        let object = try open(target)
        _ = try FileStatus(of: object.rawValue, flags: AT_STATX_FORCE_SYNC)
        try setTimes(object.rawValue, access: VFS_UTIME_NOW)
    }

    private func content(_ target: Target) throws(Errno) {
        let object = try open(target)
        let status = try FileStatus(of: object.rawValue, flags: AT_STATX_FORCE_SYNC)
        guard status.type == FileType.regular else {
            return try setTimes(object.rawValue, access: VFS_UTIME_OMIT)
        }
        let node = try nodeID(of: object.rawValue)
        var file: OwnedDescriptor
        do throws(Errno) { file = try mount.open(node, O_WRONLY) } catch .ETXTBSY {
            file = try mount.open(node, O_RDONLY)  // a program that runs
        }
        // Where times and size are the same: what was written within one tick of the host's clock.
        _ = posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
        try setTimes(object.rawValue, access: VFS_UTIME_OMIT)
    }

    /// As *look*, so that nothing but the event comes of it.
    private func setTimes(_ object: Int32, access: Int) throws(Errno) {
        let times = [timespec(tv_sec: 0, tv_nsec: access), timespec(tv_sec: 0, tv_nsec: VFS_UTIME_NOW)]
        try mount.become(.look)
        _ = try systemCall { unsafe vfs_utimens_fd(object, times) }
    }

    /// By the name that it had when it changed, if it still has that: the kernel tells those that watch its directory. An
    /// object with several names, or none that the kernel has, is then told of in the right one.
    private func open(_ target: Target) throws(Errno) -> OwnedDescriptor {
        if let place = target.place, let found = try? named(place) {
            guard let node = target.node else { return found }
            if (try? nodeID(of: found.rawValue)) == node { return found }
        }
        guard let node = target.node else { throw .ENOENT }
        return try mount.open(node, O_PATH)
    }

    private func named(_ place: Place) throws(Errno) -> OwnedDescriptor {
        let directory = try mount.openDirectory(place.parent)
        return try mount.openAt(directory.rawValue, place.name, O_PATH)
    }

    // MARK: names

    private func appear(_ place: Place, _ type: UInt32, isWhole: Bool) throws(Errno) {
        let directory = try mount.openDirectory(place.parent)
        let number = directory.rawValue
        try mount.become(.appear)
        do throws(Errno) {
            try unsafe withName(place.name) { (name) throws(Errno) in
                switch type {
                case FileType.directory: try unsafe makeDirectory(number, name, mode: 0o700)
                case FileType.symbolicLink: try unsafe makeSymbolicLink(number, name, target: name)
                default: try unsafe makeNode(number, name, mode: type | 0o600, device: 0)
                }
            }
        } catch {
            // The name is not cached now; the directory's list may be.
            try lookAgain(number)
            throw error
        }
        guard isWhole, type == FileType.regular else { return }
        try mount.become(.look)
        _ = try mount.openAt(number, place.name, O_WRONLY | O_NONBLOCK)
    }

    private func vanish(_ place: Place) throws(Errno) {
        let directory = try mount.openDirectory(place.parent)
        let number = directory.rawValue
        do throws(Errno) {
            try remove(number, place.name)
        } catch .EISDIR {
            guard hasGone(number, place.name) else { return try leave(place) }
            try remove(number, place.name, ofDirectory: true)
        } catch .ENOENT {
            try leave(place)  // the guest has seen it itself, and its watchers have not
        } catch {
            // There is something by that name again; or the mount is read-only in the guest, and nothing was asked.
            try lookAgain(number, place.name)
            throw error
        }
    }

    /// Whether a directory that the kernel has under this name is gone from the host. One that is somewhere else must not be
    /// removed: the kernel would never use it again.
    private func hasGone(_ directory: Int32, _ name: [UInt8]) -> Bool {
        guard let object = try? mount.openAt(directory, name, O_PATH) else { return false }
        do throws(Errno) {
            try mount.become(.look)
            return try FileStatus(of: object.rawValue, flags: AT_STATX_FORCE_SYNC).raw.stx_nlink == 0
        } catch { return error == .ENOENT || error == .ESTALE }
    }

    private func leave(_ place: Place) throws(Errno) {
        let directory = try mount.openDirectory(place.parent)
        try insisting { () throws(Errno) in
            try mount.become(.vanish)
            try ask(directory.rawValue, place.name)
            do throws(Errno) { try remove(directory.rawValue, place.name) } catch .EISDIR {
                throw .EBUSY  // there is one again
            }
        }
    }

    /// A phantom lasts until anybody else looks for its name, and that may be before it is used.
    private func insisting(_ body: () throws(Errno) -> Void) throws(Errno) {
        for _ in 0..<Self.patience {
            do throws(Errno) { return try body() } catch .ENOENT { continue }
        }
        throw .ENOENT
    }

    private func remove(_ directory: Int32, _ name: [UInt8], ofDirectory: Bool = false) throws(Errno) {
        try mount.become(.vanish)
        try unsafe withName(name) { (name) throws(Errno) in
            try unsafe removeName(directory, name, ofDirectory: ofDirectory)
        }
    }

    private func move(_ from: Place, _ to: Place, _ type: UInt32) throws(Errno) {
        let group = type == FileType.directory ? AgentGroup.moveDirectory : .move
        do throws(Errno) { try move(from, to, by: group) } catch {
            // Not as one, then: the name has gone, and another has come, if it is still there.
            try? leave(from)
            if type != 0 { try appear(to, type, isWhole: true) }
        }
    }

    /// Never onto something: the kernel is told that what has the new name is missing, or it would see no move where it takes
    /// both names for the same phantom.
    private func move(_ from: Place, _ to: Place, by group: AgentGroup) throws(Errno) {
        let source = try mount.openDirectory(from.parent)
        let target = try mount.openDirectory(to.parent)
        let (old, new) = (source.rawValue, target.rawValue)
        try insisting { () throws(Errno) in
            try mount.become(group)
            do throws(Errno) { try rename(old, from.name, new, to.name) } catch {
                switch error {
                // The guest has seen already that the old name is missing.
                case .ENOENT: _ = try ask(old, from.name)
                // The new name is missing by now. Before Linux 6.1, also: the guest has it, and was not asked.
                case .EEXIST: if try ask(new, to.name) { throw .EBUSY }
                default: break
                }
                throw error == .EEXIST ? .ENOENT : error
            }
        }
        try lookAgain(new, to.name)
    }

    private func rename(_ old: Int32, _ from: [UInt8], _ new: Int32, _ to: [UInt8]) throws(Errno) {
        try unsafe withName(from) { (from) throws(Errno) in
            try unsafe withName(to) { (to) throws(Errno) in
                try unsafe renameName(old, from, to: new, to, flags: UInt32(RENAME_NOREPLACE))
            }
        }
    }

    // MARK: looking again

    /// Has the kernel ask what a name means, by the group that is set, even if it has cached that: who makes a directory
    /// looks with LOOKUP_EXCL. None is made.
    ///
    /// - Returns: whether it means something.
    @discardableResult
    private func ask(_ directory: Int32, _ name: [UInt8]) throws(Errno) -> Bool {
        do throws(Errno) {
            try unsafe withName(name) { (name) throws(Errno) in
                try unsafe makeDirectory(directory, name, mode: 0o700)
            }
            return true
        } catch {
            // EROFS: it looks first.
            if error != .EEXIST, error != .ENOENT, error != .EROFS { throw error }
            return error == .EEXIST
        }
    }

    private func lookAgain(_ directory: Int32, _ name: [UInt8]? = nil) throws(Errno) {
        try mount.become(.look)
        if let name { try ask(directory, name) }
        // The kernel drops a list that it has cached when the directory's time of modification is another.
        if name == nil { _ = try FileStatus(of: directory, flags: AT_STATX_FORCE_SYNC) }
    }
}
