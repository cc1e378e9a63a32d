// SPDX-License-Identifier: Apache-2.0
import HostOS

/// What can be learnt of the objects that events name by handle: as they are now, which is later than the event.
package protocol HandleResolver {
    /// The shared directory, or file.
    var root: FileHandle { get }
    /// nil: it is gone.
    func find(_ object: FileHandle) -> FoundObject?
    /// nil: there is no such name, or no such directory.
    func find(_ name: [UInt8], in directory: FileHandle) -> FoundObject?
    /// Whether `directory` is the shared one or lies below it; nil: it is gone.
    func isBelow(_ directory: FileHandle) -> Bool?
}

package struct FoundObject: Equatable, Sendable {
    package let key: FileKey
    /// How many names it has.
    package let links: UInt32

    package init(key: FileKey, links: UInt32) {
        self.key = key
        self.links = links
    }
}
