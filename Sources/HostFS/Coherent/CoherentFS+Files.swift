// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// What changes an object itself.
extension CoherentFS {
    package func setattr(_ caller: Caller, nodeID: NodeID, _ arguments: SetAttrIn) throws(Errno) -> AttrOut {
        if agent(caller) != nil { return try getattr(caller, nodeID: nodeID, handle: nil) }
        let resizes = arguments.valid & SetAttrValid.size != 0
        return try change(nodeID, resizes ? .both : .attributes) { () throws(Errno) in
            try base.setattr(caller, nodeID: nodeID, arguments)
        }
    }

    package func setxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, value: UnsafeRawBufferPointer, _ arguments: SetXattrIn
    ) throws(Errno) {
        try refuseAgent(caller)
        try change(nodeID, .attributes) { () throws(Errno) in
            try unsafe base.setxattr(caller, nodeID: nodeID, name: name, value: value, arguments)
        }
    }

    package func removexattr(_ caller: Caller, nodeID: NodeID, name: Text) throws(Errno) {
        try refuseAgent(caller)
        try change(nodeID, .attributes) { () throws(Errno) in
            try base.removexattr(caller, nodeID: nodeID, name: name)
        }
    }

    package func ioctl(
        _ caller: Caller, nodeID: NodeID, _ arguments: IoctlIn, input: UnsafeRawBufferPointer,
        into reply: inout ReplyBuffer
    ) throws(Errno) -> Int32 {
        try refuseAgent(caller)
        return try change(nodeID, .attributes) { () throws(Errno) in
            try unsafe base.ioctl(caller, nodeID: nodeID, arguments, input: input, into: &reply)
        }
    }

    package func fallocate(_ caller: Caller, nodeID: NodeID, _ arguments: FallocateIn) throws(Errno) {
        try refuseAgent(caller)
        try change(nodeID, .both) { () throws(Errno) in
            try base.fallocate(caller, nodeID: nodeID, arguments)
        }
    }

    package func copyFileRange(
        _ caller: Caller, nodeID: NodeID, _ arguments: CopyFileRangeIn
    ) throws(Errno) -> UInt64 {
        try refuseAgent(caller)
        return try change(NodeID(rawValue: arguments.nodeIDOut), .both) { () throws(Errno) in
            try base.copyFileRange(caller, nodeID: nodeID, arguments)
        }
    }

    package func open(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut {
        if agent(caller) != nil { return try openForAgent(nodeID) }
        guard Int32(bitPattern: arguments.flags) & O_TRUNC != 0 else {
            return try base.open(caller, nodeID: nodeID, arguments)
        }
        return try change(nodeID, .both) { () throws(Errno) in
            try base.open(caller, nodeID: nodeID, arguments)
        }
    }

    /// One of many as a rule: the journal tells when the file is closed.
    package func write(
        _ caller: Caller, nodeID: NodeID, _ arguments: WriteIn, from data: DataVector
    ) throws(Errno) -> Int {
        try refuseAgent(caller)
        return try announcing(Touched(try place(of: nodeID), .both)) { () throws(Errno) in
            try base.write(caller, nodeID: nodeID, arguments, from: data)
        }
    }

    package func release(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno) {
        if arguments.handle == AgentNode.handle { return releaseForAgent(nodeID) }
        let wasWritable =
            (try? base.hold(arguments.handle, of: nodeID, kind: .file)).map {
                $0.openFlags & UInt32(O_ACCMODE) != UInt32(O_RDONLY)
            } ?? false
        let object = wasWritable ? try? place(of: nodeID) : nil
        try base.release(caller, nodeID: nodeID, arguments)
        if let object { tell(.content, object) }
    }

    private func change<Result>(
        _ node: NodeID, _ aspects: Aspects, _ call: () throws(Errno) -> Result
    ) throws(Errno) -> Result {
        let object = try place(of: node)
        let result = try announcing(Touched(object, aspects), call)
        tell(aspects.contains(.content) ? .content : .attributes, object)
        return result
    }
}
