// SPDX-License-Identifier: Apache-2.0

/// A way to give bytes of an enemy's making to some of our code.
///
/// One object takes many inputs, one after the other, on one thread; each leaves nothing behind, so that the same input
/// always does the same.
package protocol FuzzTarget: AnyObject {
    /// - Throws: `Broken` when something that holds for every input did not.
    func run(_ input: UnsafeRawBufferPointer) throws
}

/// What must always hold and did not.
package struct Broken: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Throws `Broken` unless `condition` holds.
func demand(_ condition: Bool, _ what: @autoclosure () -> String) throws(Broken) {
    if !condition { throw Broken(what()) }
}

package enum FuzzTargets {
    /// By name, as `make fuzz` and the folders below Fuzz/seeds and Fuzz/regressions call them.
    package static let names = ["fuse", "hostfs", "ring", "vhost", "vfio", "pci", "options", "maps"]

    /// nil for a name that is not among `names`.
    ///
    /// - Parameter ownsProcess: nothing else of the process opens or closes descriptors, so those that are left can be told.
    package static func make(_ name: String, ownsProcess: Bool) throws -> (any FuzzTarget)? {
        switch name {
        case "fuse": FuseTarget()
        case "hostfs": try HostFSTarget(countsDescriptors: ownsProcess)
        case "ring": try RingTarget()
        case "vhost": try VhostTarget(countsDescriptors: ownsProcess)
        case "vfio": try VfioTarget(countsDescriptors: ownsProcess)
        case "pci": try PciTarget(countsDescriptors: ownsProcess)
        case "options": OptionsTarget()
        case "maps": MapsTarget()
        default: nil
        }
    }
}
