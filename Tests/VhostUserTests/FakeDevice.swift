// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import MessageTools

@testable import VhostUser

/// A device that writes down what it is told, and refuses what it is told to refuse.
final class FakeDevice: BackendDelegate {
    var offeredFeatures: VirtioFeatures = [.protocolFeatures, .version1, .indirectDescriptors]
    var offeredProtocolFeatures: ProtocolFeatures
    var queueCount = 2
    var memorySlotCount = 509
    var configuration: [UInt8] = Array("share".utf8) + zeros(31) + le32(1)
    /// Calls by these names throw `failure`.
    var failing: Set<String> = []
    var failure = VhostUserError.refused(.EINVAL)
    private(set) var calls: [String] = []
    /// Descriptors stay open here until the device ends.
    private var keptNumbers: [Int32] = []

    init(_ protocolFeatures: ProtocolFeatures = BackendSession.implementedFeatures) {
        offeredProtocolFeatures = protocolFeatures
    }

    deinit { closeKept() }

    func closeKept() {
        for number in keptNumbers { _ = OwnedDescriptor(adopting: number) }
        keptNumbers = []
    }

    func takeCalls() -> [String] {
        defer { calls = [] }
        return calls
    }

    private func note(_ name: String, _ details: Any...) throws(VhostUserError) {
        calls.append(([name] + details.map { "\($0)" }).joined(separator: " "))
        if failing.contains(name) { throw failure }
    }

    private func keep(_ descriptor: consuming OwnedDescriptor?) -> String {
        guard let descriptor else { return "none" }
        keptNumbers.append(descriptor.release())
        return "fd"
    }

    private func text(_ region: RegionDescription) -> String {
        [region.guestAddress, region.size, region.userAddress, region.fileOffset]
            .map { String($0, radix: 16) }.joined(separator: ",")
    }

    func setOwner() throws(VhostUserError) { try note("owner") }
    func resetOwner() throws(VhostUserError) { try note("reset-owner") }
    func setFeatures(_ features: VirtioFeatures) throws(VhostUserError) {
        try note("features", String(features.rawValue, radix: 16))
    }
    func setProtocolFeatures(_ features: ProtocolFeatures) throws(VhostUserError) {
        try note("protocol", String(features.rawValue, radix: 16))
    }
    func setBackendChannel(_ socket: consuming OwnedDescriptor) throws(VhostUserError) {
        try note("channel", keep(socket))
    }
    func setMemoryTable(
        _ regions: [RegionDescription], files: consuming ReceivedDescriptors
    ) throws(VhostUserError) {
        var files = files
        var lines: [String] = []
        for region in regions { lines.append(text(region) + ":" + keep(files.takeFirst())) }
        try note("table", lines.joined(separator: " "))
    }
    func addMemoryRegion(_ region: RegionDescription, file: consuming OwnedDescriptor) throws(VhostUserError)
    {
        try note("add", text(region), keep(file))
    }
    func removeMemoryRegion(_ region: RegionDescription) throws(VhostUserError) {
        try note("remove", text(region))
    }
    func setRingSize(_ ring: Int, _ size: UInt16) throws(VhostUserError) { try note("size", ring, size) }
    func setRingBase(_ ring: Int, _ base: UInt16) throws(VhostUserError) { try note("base", ring, base) }
    func setRingAddresses(_ ring: Int, _ addresses: VringAddresses) throws(VhostUserError) {
        let numbers = [addresses.descriptorTable, addresses.availableRing, addresses.usedRing]
        try note("addresses", ring, numbers.map { String($0, radix: 16) }.joined(separator: ","))
    }
    func setRingKick(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        try note("kick", ring, keep(event))
    }
    func setRingCall(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        try note("call", ring, keep(event))
    }
    func setRingError(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        try note("error", ring, keep(event))
    }
    func setRingEnabled(_ ring: Int, _ enabled: Bool) throws(VhostUserError) {
        try note(enabled ? "enable" : "disable", ring)
    }
    func stopRing(_ ring: Int) throws(VhostUserError) -> UInt16 {
        try note("stop", ring)
        return 0x1234
    }
    func readConfiguration(offset: UInt32, count: Int) throws(VhostUserError) -> [UInt8] {
        try note("read", offset, count)
        guard let start = Int(exactly: offset), start + count <= configuration.count else {
            throw .invalidValue
        }
        return Array(configuration[start..<start + count])
    }
    func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) throws(VhostUserError) {
        try note("write", offset, bytes)
    }
    func resetDevice() throws(VhostUserError) { try note("reset") }
    func refused(request: UInt32, _ error: VhostUserError) { calls.append("refused \(request) \(error)") }
}
