// SPDX-License-Identifier: Apache-2.0

/// A name in a directory, by the directory's node id.
struct Place: Hashable, Sendable {
    let parent: UInt64
    let name: [UInt8]
}

/// An object: by its node id, where the guest has one for it, and by a name that it had when it changed, if one is known.
struct Target: Hashable, Sendable {
    let node: UInt64?
    let place: Place?
}

/// What the agent is to make the guest's kernel do, so that it sees one change and tells its watchers.
enum Step: Hashable, Sendable {
    /// The kernel asks for the attributes again; IN_ATTRIB.
    case attributes(Target)
    /// The same, and it drops the data; IN_MODIFY and, of a regular file, IN_CLOSE_WRITE.
    case content(Target)
    /// The name is there, of an object of that type (S_IFMT bits); IN_CREATE. `isWhole`: it came with all that is in it, so a
    /// regular file gets IN_CLOSE_WRITE too.
    case appear(Place, type: UInt32, isWhole: Bool)
    /// The name is gone, and so is what it meant, but for other names that it has; IN_DELETE.
    case vanish(Place)
    /// The name is gone, and what it meant is somewhere else; IN_DELETE.
    case leave(Place)
    /// IN_MOVED_FROM, IN_MOVED_TO, IN_MOVE_SELF. `type`: S_IFMT bits of what the new name means now; 0: nothing.
    case move(Place, to: Place, type: UInt32)
}
