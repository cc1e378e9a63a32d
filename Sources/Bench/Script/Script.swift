// SPDX-License-Identifier: Apache-2.0

/// One test: what is made before it, and the requests of one operation, which leave everything as it was.
package struct Script: Sendable {
    /// The word on the command line.
    package let name: String
    package let summary: String
    /// Carried out once, by the first lane; what it has looked up and opened is then known to all.
    private(set) var setup: [Step] = []
    /// Carried out once by each lane, after it has made its own directory.
    private(set) var laneSetup: [Step] = []
    /// One operation.
    private(set) var cycle: [Step] = []

    private(set) var names: [[UInt8]] = [[]]
    private(set) var nodeCount = 2
    private(set) var handleCount = 0

    init(
        _ name: String, _ summary: String,
        _ build: (inout Script) -> Void
    ) {
        self.name = name
        self.summary = summary
        build(&self)
    }

    /// How long the test's file is, for the random and sequential places.
    static let fileByteCount: UInt64 = 64 << 20
    /// The most bytes that one READ or WRITE moves.
    static let maximumDataByteCount = 1 << 20
    /// The room for a READDIRPLUS reply: what getdents64(2) of the C library asks for, which Linux 7 passes on.
    static let listByteCount = 32 << 10

    /// The most bytes that one READ or WRITE of the test moves; 0 without any.
    package var dataByteCount: UInt32 {
        (setup + laneSetup + cycle).reduce(0) { most, step in
            switch step {
            case .read(_, _, _, let size), .write(_, _, _, let size): max(most, size)
            default: most
            }
        }
    }

    /// The most entries of a listing.
    var listedEntryCount: Int {
        (setup + laneSetup + cycle).reduce(0) { most, step in
            if case .list(_, _, let entries) = step { max(most, entries) } else { most }
        }
    }

    // MARK: Building

    mutating func node() -> NodeSlot {
        defer { nodeCount += 1 }
        return NodeSlot(index: nodeCount)
    }

    mutating func handle() -> HandleSlot {
        defer { handleCount += 1 }
        return HandleSlot(index: handleCount)
    }

    /// A name, or what else is text: a link's target, an attribute's value.
    mutating func name(_ text: String) -> NameSlot {
        let bytes = Array(text.utf8)
        if let index = names.dropFirst().firstIndex(of: bytes) { return NameSlot(index: index) }
        return append(bytes)
    }

    /// The same for a name that is known to be new: finding that out takes long when there are thousands.
    mutating func name(unchecked text: String) -> NameSlot { append(Array(text.utf8)) }

    private mutating func append(_ bytes: [UInt8]) -> NameSlot {
        names.append(bytes)
        return NameSlot(index: names.count - 1)
    }

    mutating func prepare(_ steps: Step...) { setup += steps }
    mutating func prepareLane(_ steps: Step...) { laneSetup += steps }
    mutating func add(_ steps: Step...) { cycle += steps }

    /// An empty file in each lane's own directory, known to the lane.
    mutating func laneFile(_ text: String) -> (node: NodeSlot, handle: HandleSlot) {
        let (file, handle) = (node(), handle())
        prepareLane(.create(.home, name(text), file, handle))
        return (file, handle)
    }

    /// A file of `fileByteCount` bytes, open in all lanes.
    mutating func sharedFile() -> (node: NodeSlot, handle: HandleSlot) {
        let (file, handle) = (node(), handle())
        prepare(.create(.directory, name("data"), file, handle))
        let piece = UInt64(Self.maximumDataByteCount)
        for index in 0..<Self.fileByteCount / piece {
            prepare(.write(file, handle, .at(index * piece), size: UInt32(piece)))
        }
        return (file, handle)
    }
}
