// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// What makes, moves and removes names. An object that a name loses has one link fewer, so it is looked up before.
extension CoherentFS {
    package func mknod(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: MknodIn
    ) throws(Errno) -> EntryOut {
        if let group = agent(caller) {
            let type = arguments.mode & FileType.mask
            return try appear(group, caller, parent, name, type: type == 0 ? FileType.regular : type)
        }
        return try make(parent, name) { () throws(Errno) in
            try base.mknod(caller, parent: parent, name: name, arguments)
        }
    }

    package func mkdir(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: MkdirIn
    ) throws(Errno) -> EntryOut {
        if let group = agent(caller) {
            return try appear(group, caller, parent, name, type: FileType.directory)
        }
        return try make(parent, name) { () throws(Errno) in
            try base.mkdir(caller, parent: parent, name: name, arguments)
        }
    }

    package func symlink(_ caller: Caller, parent: NodeID, name: Name, target: Text) throws(Errno) -> EntryOut
    {
        if let group = agent(caller) {
            return try appear(group, caller, parent, name, type: FileType.symbolicLink)
        }
        return try make(parent, name) { () throws(Errno) in
            try base.symlink(caller, parent: parent, name: name, target: target)
        }
    }

    private func make(_ parent: NodeID, _ name: Name, _ call: () throws(Errno) -> EntryOut) throws(Errno)
        -> EntryOut
    {
        let directory = try place(of: parent)
        let entry = try announcing(Touched(entryIn: directory), call)
        tell(.created, try? place(of: NodeID(rawValue: entry.nodeID)), in: directory, name)
        return entry
    }

    /// A file that is there already is opened, and perhaps cut.
    package func create(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: CreateIn
    ) throws(Errno) -> CreateOut {
        try refuseAgent(caller)
        let directory = try place(of: parent)
        do throws(Errno) {
            // The guest believes that there is none, and as a rule it is right.
            var exclusive = arguments
            exclusive.flags |= UInt32(O_EXCL)
            let out = try announcing(Touched(entryIn: directory)) { () throws(Errno) in
                try base.create(caller, parent: parent, name: name, exclusive)
            }
            tell(.created, try? place(of: NodeID(rawValue: out.entry.nodeID)), in: directory, name)
            return out
        } catch {
            guard error == .EEXIST, Int32(bitPattern: arguments.flags) & O_EXCL == 0 else { throw error }
        }
        let before = try place(parent, name)
        var touched = Touched(entryIn: directory)
        touched.add(before, .both)
        let out = try announcing(touched) { () throws(Errno) in
            try base.create(caller, parent: parent, name: name, arguments)
        }
        let object = try? place(of: NodeID(rawValue: out.entry.nodeID))
        if let before, before.key == object?.key {
            if Int32(bitPattern: arguments.flags) & O_TRUNC != 0 { tell(.content, object) }
        } else {
            tell(.created, object, in: directory, name)
        }
        return out
    }

    /// It has no name, so nobody can have cached anything.
    package func tmpfile(_ caller: Caller, parent: NodeID, _ arguments: CreateIn) throws(Errno) -> CreateOut {
        try refuseAgent(caller)
        return try base.tmpfile(caller, parent: parent, arguments)
    }

    package func link(
        _ caller: Caller, nodeID: NodeID, newParent: NodeID, name: Name
    ) throws(Errno) -> EntryOut {
        try refuseAgent(caller)
        let (object, directory) = (try place(of: nodeID), try place(of: newParent))
        var touched = Touched(entryIn: directory)
        touched.add(object, .attributes)
        let entry = try announcing(touched) { () throws(Errno) in
            try base.link(caller, nodeID: nodeID, newParent: newParent, name: name)
        }
        tell(.created, object, in: directory, name)
        return entry
    }

    package func unlink(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) {
        if let group = agent(caller) { return try vanish(group, parent, name) }
        try remove(parent, name) { () throws(Errno) in
            try base.unlink(caller, parent: parent, name: name)
        }
    }

    package func rmdir(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) {
        if let group = agent(caller) { return try vanishDirectory(group, parent, name) }
        try remove(parent, name) { () throws(Errno) in
            try base.rmdir(caller, parent: parent, name: name)
        }
    }

    private func remove(_ parent: NodeID, _ name: Name, _ call: () throws(Errno) -> Void) throws(Errno) {
        let (directory, object) = (try place(of: parent), try place(parent, name))
        var touched = Touched(entryIn: directory)
        touched.add(object, .both)
        try announcing(touched, call)
        tell(.removed, object, in: directory, name)
    }

    package func rename(
        _ caller: Caller, parent: NodeID, name: Name, newParent: NodeID, newName: Name, flags: UInt32
    ) throws(Errno) {
        if let group = agent(caller) { return try move(group, newParent, newName, flags) }
        let told = unsafe base.share.namesTold.find(NamesTold.Key(newParent, newName.cString))
        if flags == 0, told == nil {
            // As a rule nothing is there, and then nothing has to be looked up.
            do throws(Errno) {
                return try move(parent, name, newParent, newName, UInt32(RENAME_NOREPLACE), caller)
            } catch {
                // EINVAL: the file system does not know the flag.
                guard error == .EEXIST || error == .EINVAL else { throw error }
            }
        }
        try move(parent, name, newParent, newName, flags, caller)
    }

    private func move(
        _ parent: NodeID, _ name: Name, _ newParent: NodeID, _ newName: Name, _ flags: UInt32,
        _ caller: Caller
    ) throws(Errno) {
        let (from, to) = (try place(of: parent), try place(of: newParent))
        let moved = try place(parent, name)
        let replaced = flags & UInt32(RENAME_NOREPLACE) == 0 ? try place(newParent, newName) : nil
        var touched = Touched(entryIn: from)
        touched.add(to, .both)
        // A directory that is moved has another "..".
        touched.add(moved, .both)
        touched.add(replaced, .both)
        try announcing(touched) { () throws(Errno) in
            try base.rename(
                caller, parent: parent, name: name, newParent: newParent, newName: newName, flags: flags)
        }
        let pair = tell(.movedAway, moved, in: from, name)
        tell(.movedHere, moved, in: to, newName, pair: pair)
        if flags & UInt32(RENAME_EXCHANGE) != 0 {
            let pair = tell(.movedAway, replaced, in: to, newName)
            tell(.movedHere, replaced, in: from, name, pair: pair)
        } else if let replaced, replaced.key != moved?.key {
            tell(.attributes, replaced)
        }
        if flags & UInt32(RENAME_WHITEOUT) != 0 { tell(.created, nil, in: from, name) }
    }
}
