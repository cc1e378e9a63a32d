// SPDX-License-Identifier: Apache-2.0
import Frontend
import FuseWire
import Glibc

/// Who asks, in every request.
struct Identity: Sendable {
    let uid: UInt32 = geteuid()
    let gid: UInt32 = getegid()
    let pid = UInt32(bitPattern: getpid())

    /// A header without its length.
    func header(_ opcode: Opcode, _ node: UInt64, unique: UInt64) -> InHeader {
        var header = InHeader()
        header.opcode = opcode.rawValue
        header.nodeID = node
        header.unique = unique
        (header.uid, header.gid, header.pid) = (uid, gid, pid)
        return header
    }
}

extension Lane {
    /// What the times are set to; any moment of the past.
    private static let moment: UInt64 = 1_600_000_000
    private static let permissions = UInt32(0o644)

    /// Puts the request of `step` together.
    func write(_ step: Step, of script: Script, _ identity: Identity) {
        memory.begin()
        var dataByteCount = 0
        switch step {
        case .forget, .forgetListed: return
        case .statfs, .readlink: break
        case .lookup(_, let name, _), .lookupMissing(_, let name), .rmdir(_, let name),
            .unlink(_, let name):
            memory.append(name: text(name, script))
        case .getattr: memory.append(GetAttrIn())
        case .chmod, .setTimes, .chown: memory.append(attributes(step, identity))
        case .create(_, let name, _, _):
            var argument = CreateIn()
            argument.flags = UInt32(O_CREAT | O_EXCL | O_RDWR)
            argument.mode = S_IFREG | Self.permissions
            argument.umask = 0o022
            memory.append(argument)
            memory.append(name: text(name, script))
        case .mkdir(_, let name, _):
            var argument = MkdirIn()
            (argument.mode, argument.umask) = (0o755, 0o022)
            memory.append(argument)
            memory.append(name: text(name, script))
        case .rename(let node, let old, let new):
            var argument = RenameIn()
            argument.newDirectory = knowledge[node]
            memory.append(argument)
            memory.append(name: text(old, script))
            memory.append(name: text(new, script))
        case .symlink(_, let name, let target, _):
            memory.append(name: text(name, script))
            memory.append(name: text(target, script))
        case .open(_, _, let flags): memory.append(openArgument(flags))
        case .opendir: memory.append(openArgument(UInt32(O_RDONLY | O_DIRECTORY)))
        case .release(_, let handle), .releasedir(_, let handle):
            var argument = ReleaseIn()
            argument.handle = knowledge[handle]
            memory.append(argument)
        case .read(_, let handle, let place, let size):
            memory.append(readArgument(handle, position(place, size: size), size))
        case .list(_, let handle, _):
            memory.append(readArgument(handle, listingOffset, UInt32(Script.listByteCount)))
        case .write(_, let handle, let place, let size):
            var argument = WriteIn()
            argument.handle = knowledge[handle]
            argument.offset = position(place, size: size)
            argument.size = size
            memory.append(argument)
            dataByteCount = Int(size)
        case .setxattr(_, let name, let value):
            // FUSE_SETXATTR_EXT is not agreed on: the first 8 bytes of `fuse_setxattr_in`.
            memory.append(UInt32(text(value, script).count))
            memory.append(UInt32(0))
            memory.append(name: text(name, script))
            memory.append(bytes: text(value, script))
        case .getxattr(_, let name, let value):
            var argument = GetXattrIn()
            argument.size = UInt32(text(value, script).count)
            memory.append(argument)
            memory.append(name: text(name, script))
        }
        let node = step.node.map { knowledge[$0] } ?? 0
        memory.finish(
            identity.header(step.opcode, node, unique: unique), dataByteCount: dataByteCount,
            room: room(for: step, of: script))
    }

    func text(_ slot: NameSlot, _ script: Script) -> [UInt8] {
        slot == .lane ? name : script.names[slot.index]
    }

    private func openArgument(_ flags: UInt32) -> OpenIn {
        var argument = OpenIn()
        argument.flags = flags
        return argument
    }

    private func readArgument(_ handle: HandleSlot, _ offset: UInt64, _ size: UInt32) -> ReadIn {
        var argument = ReadIn()
        argument.handle = knowledge[handle]
        argument.offset = offset
        argument.size = size
        return argument
    }

    private func attributes(_ step: Step, _ identity: Identity) -> SetAttrIn {
        var argument = SetAttrIn()
        switch step {
        case .chmod(_, let mode):
            argument.valid = SetAttrValid.mode
            argument.mode = S_IFREG | mode
        case .setTimes(_, let handle):
            argument.valid = SetAttrValid.atime | SetAttrValid.mtime
            (argument.atime, argument.mtime) = (Self.moment, Self.moment)
            add(handle, to: &argument)
        case .chown(_, let handle):
            argument.valid = SetAttrValid.uid | SetAttrValid.gid
            (argument.uid, argument.gid) = (identity.uid, identity.gid)
            add(handle, to: &argument)
        default: break
        }
        return argument
    }

    private func add(_ handle: HandleSlot?, to argument: inout SetAttrIn) {
        guard let handle else { return }
        argument.valid |= SetAttrValid.handle
        argument.handle = knowledge[handle]
    }

    /// The room that Linux makes for the reply.
    func room(for step: Step, of script: Script) -> ReplyRoom {
        switch step {
        case .lookup, .lookupMissing, .mkdir, .symlink:
            ReplyRoom(argumentByteCount: MemoryLayout<EntryOut>.size)
        case .getattr, .chmod, .setTimes, .chown: ReplyRoom(argumentByteCount: MemoryLayout<AttrOut>.size)
        case .create: ReplyRoom(argumentByteCount: MemoryLayout<CreateOut>.size)
        case .open, .opendir: ReplyRoom(argumentByteCount: MemoryLayout<OpenOut>.size)
        case .write: ReplyRoom(argumentByteCount: MemoryLayout<WriteOut>.size)
        case .statfs: ReplyRoom(argumentByteCount: MemoryLayout<StatFSOut>.size)
        case .getxattr(_, _, let value): ReplyRoom(argumentByteCount: text(value, script).count)
        case .readlink: ReplyRoom(dataByteCount: 4096)
        case .read(_, _, _, let size): ReplyRoom(dataByteCount: Int(size))
        case .list: ReplyRoom(dataByteCount: Script.listByteCount)
        case .release, .releasedir, .rmdir, .unlink, .rename, .setxattr, .forget, .forgetListed: ReplyRoom()
        }
    }
}
