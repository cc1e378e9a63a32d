// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Where the guest sees the DAX window at the moment. One thread sets it, any may ask.
package final class WindowAddress: Sendable {
    private let value = Atomic<UInt64>(0)

    package init() {}

    /// A guest address; nil: nowhere.
    package var current: UInt64? {
        let address = value.load(ordering: .relaxed)
        return address == 0 ? nil : address
    }

    /// 0 for nowhere.
    func set(_ address: UInt64) { value.store(address, ordering: .relaxed) }
}
