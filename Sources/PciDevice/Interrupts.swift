// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The device's interrupts: the VMM's eventfds for the MSI-X vectors and for INTx.
///
/// With MSI-X the daemon signals the VMM's eventfds itself. INTx is one line for everything, and the guest asks us what it was
/// about, so the daemon signals an eventfd of ours (`queueEvent`) first.
package final class Interrupts {
    /// What the interrupt status register tells (virtio 1.3 §4.1.4.5).
    struct Cause: OptionSet {
        let rawValue: UInt8
        static let queue = Cause(rawValue: 1)
        static let configuration = Cause(rawValue: 2)
    }

    private var vectors: [SharedDescriptor?]
    private var line: SharedDescriptor?
    /// INTx: signalled, and the VMM has not said since that it can be again.
    private var isLineMasked = false
    private var causes: Cause = []
    /// The guest has switched INTx off.
    var isLineDisabled = false { didSet { deliver() } }
    /// Readable when the daemon wants an INTx interrupt.
    let queueEvent: SharedDescriptor
    /// For queues that have no vector; nobody reads it.
    private let nowhere: SharedDescriptor

    init(vectorCount: Int) throws(Errno) {
        vectors = [SharedDescriptor?](repeating: nil, count: vectorCount)
        queueEvent = SharedDescriptor(try makeEvent())
        nowhere = SharedDescriptor(try makeEvent())
    }

    // MARK: The VMM's side

    /// The VMM has switched MSI-X on.
    private var usesVectors: Bool { vectors.contains { $0 != nil } }

    func setVector(_ index: Int, _ descriptor: SharedDescriptor?) { vectors[index] = descriptor }

    func setLine(_ descriptor: SharedDescriptor?) {
        line = descriptor
        isLineMasked = false
        deliver()
    }

    func maskLine() { isLineMasked = true }

    func unmaskLine() {
        isLineMasked = false
        deliver()
    }

    /// Signals a vector, or the line, as if something had happened.
    func test(vector index: Int) { if let vector = vectors[index] { signalEvent(vector.rawValue) } }
    func testLine() { if let line { signalEvent(line.rawValue) } }

    /// All of the VMM's eventfds are given up.
    func reset() {
        for index in vectors.indices { vectors[index] = nil }
        line = nil
        clearCauses()
    }

    /// The device was reset: nothing is pending.
    func clearCauses() {
        causes = []
        isLineMasked = false
        clearEvent(queueEvent.rawValue)
    }

    // MARK: The device's side

    /// What a queue with this vector is to signal.
    func target(ofVector vector: UInt16) -> SharedDescriptor {
        guard usesVectors else { return queueEvent }
        return Int(vector) < vectors.count ? vectors[Int(vector)] ?? nowhere : nowhere
    }

    /// `queueEvent` is readable: the daemon has used buffers.
    package func takeQueueEvent() {
        if clearEvent(queueEvent.rawValue) { raise(.queue) }
    }

    /// The device's own state has changed.
    func signalConfiguration(vector: UInt16) {
        if usesVectors { return signalEvent(target(ofVector: vector).rawValue) }
        raise(.configuration)
    }

    /// The guest reads the interrupt status register, which clears it.
    func takeStatus() -> UInt8 {
        defer { causes = [] }
        return causes.rawValue
    }

    var isLinePending: Bool { !causes.isEmpty }

    private func raise(_ cause: Cause) {
        causes.insert(cause)
        deliver()
    }

    /// A level, told by edges: each is followed by none until the VMM unmasks, and by another if the level is still there.
    private func deliver() {
        guard !causes.isEmpty, !isLineMasked, !isLineDisabled, let line else { return }
        isLineMasked = true
        signalEvent(line.rawValue)
    }
}

/// A new eventfd, close-on-exec, that never blocks.
private func makeEvent() throws(Errno) -> OwnedDescriptor { try EventFD().descriptor.duplicate() }
