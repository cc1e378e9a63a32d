// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS
import StateArena

/// What a handle is of.
enum HandleKind: UInt32 {
    case file = 1
    case directory = 2
}

/// What the guest has released: it finds the handle no more.
struct ReleasedHandle {
    let slot: UInt32
    let descriptor: Int32
    let node: NodeID
}

/// An open file of the guest, held until the request ends.
struct OpenFile {
    let descriptor: Int32
    /// open(2) flags, as given to `addHandle`.
    let flags: Int32
    let slot: UInt32
}

extension HostFS {
    /// Makes an open descriptor known to the guest. ENFILE when it has too many.
    func addHandle(
        _ descriptor: consuming OwnedDescriptor, node: NodeID, kind: HandleKind, flags: Int32
    ) throws(Errno) -> HandleID {
        let number = descriptor.release()
        do throws(Errno) { try share.quota.take() } catch {
            share.closeFile(number, of: node)
            throw error
        }
        guard
            let handle = share.handles.insert(
                node: node, descriptor: number, kind: kind.rawValue, openFlags: UInt32(bitPattern: flags))
        else {
            share.quota.giveBack()
            share.closeFile(number, of: node)
            share.handles.limit.note()
            throw .ENFILE
        }
        return handle
    }

    /// The open file `handle` of `node`. EBADF if it is forged, released, of another node or a directory's.
    ///
    /// `use` says what a file that the guest has not asked to open is opened for; see OpenByNode.swift.
    func openFile(_ handle: UInt64, of node: NodeID, for use: FileUse = .reading) throws(Errno) -> OpenFile {
        let record = try hold(handle, of: node, kind: .file, for: use)
        return OpenFile(
            descriptor: record.descriptor, flags: record.flags, slot: record.slot)
    }

    /// The record of `handle`, held until the request ends.
    func hold(
        _ handle: UInt64, of node: NodeID, kind: HandleKind?, for use: FileUse = .reading
    ) throws(Errno) -> HandleRecord {
        if handle == 0 { return try holdByNode(node, kind: kind, for: use) }
        return try holdGiven(handle, of: node, kind: kind)
    }

    func holdGiven(_ handle: UInt64, of node: NodeID, kind: HandleKind?) throws(Errno) -> HandleRecord {
        try pins.add(Pin.handle(UInt32(truncatingIfNeeded: handle)))
        pins.fence()
        guard let slot = share.handles.slots.find(handle) else { throw .EBADF }
        let record = share.handles.record(slot)
        guard record.node == node.rawValue, kind == nil || record.kind == kind?.rawValue else { throw .EBADF }
        return record
    }

    /// The guest is done with `handle`: closed when the last request that uses it has ended.
    func removeHandle(_ handle: UInt64, of node: NodeID, kind: HandleKind) throws(Errno) {
        let mark = pins.count
        let record = try hold(handle, of: node, kind: kind)
        guard share.handles.retire(record.slot) else { throw .EBADF }
        let handle = ReleasedHandle(slot: record.slot, descriptor: record.descriptor, node: node)
        pins.truncate(to: mark)
        if closesLater { released = handle } else { finishRelease(of: handle) }
    }

    /// The inode gets along without the open file, which is closed when the last request that uses it has ended.
    func finishRelease(of handle: ReleasedHandle) {
        try? outlive(handle.descriptor, handle.node)
        share.retire(.handle(handle.slot))
    }
}
