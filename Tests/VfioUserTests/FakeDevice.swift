// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import MessageTools

@testable import VfioUser

/// A device that writes down what it is told, and refuses what it is told to refuse.
final class FakeDevice: VfioDevice {
    /// 0: plain; 1: parts of it can be mapped; 2: all; 3: huge; 4: write-only; 5: read-only; 7: configuration; no others.
    var regions: [UInt32: RegionInfo] = [
        0: RegionInfo(size: 0x1000, isReadable: true, isWritable: true),
        1: RegionInfo(
            size: 0x4000, isReadable: true, isWritable: true, mappable: [0x1000..<0x2000, 0x3000..<0x4000]),
        2: RegionInfo(size: 0x2000, isReadable: true, isWritable: true, mappable: [0..<0x2000]),
        3: RegionInfo(size: .max, isReadable: true, isWritable: true),
        4: RegionInfo(size: 16, isReadable: false, isWritable: true),
        5: RegionInfo(size: 16, isReadable: true, isWritable: false),
        7: RegionInfo(size: 256, isReadable: true, isWritable: true),
    ]
    /// Calls by these names throw `failure`.
    var failing: Set<String> = []
    var failure = Errno.EEXIST
    /// How many bytes too many a read returns.
    var surplus = 0
    private(set) var calls: [String] = []
    /// Descriptors stay open here until the device ends.
    private var keptNumbers: [Int32] = []

    deinit { closeKept() }

    func closeKept() {
        for number in keptNumbers { _ = OwnedDescriptor(adopting: number) }
        keptNumbers = []
    }

    func takeCalls() -> [String] {
        defer { calls = [] }
        return calls
    }

    private func note(_ name: String, _ details: Any...) throws(Errno) {
        calls.append(([name] + details.map { "\($0)" }).joined(separator: " "))
        if failing.contains(name) { throw failure }
    }

    private func keep(_ descriptor: consuming OwnedDescriptor?) -> String {
        guard let descriptor else { return "none" }
        keptNumbers.append(descriptor.release())
        return "fd"
    }

    /// One that may not be asked for lets everything through, so that asking shows.
    func region(_ index: UInt32) -> RegionInfo {
        if index >= 9 { return RegionInfo(size: .max, isReadable: true, isWritable: true) }
        return regions[index] ?? .none
    }

    func interrupts(_ index: InterruptIndex) -> InterruptInfo {
        switch index {
        case .intx: InterruptInfo(count: 1, isMaskable: true)
        case .msix: InterruptInfo(count: 4, noResize: true)
        case .error: InterruptInfo(count: 1)
        case .msi, .request: InterruptInfo(count: 0)
        }
    }

    var maximumMaps: Int { 3 }
    func map(_ range: DMARange, _ file: consuming OwnedDescriptor?) throws(Errno) {
        let numbers = [range.address, range.size, range.fileOffset].map { String($0, radix: 16) }
        let access = (range.isReadable ? "r" : "") + (range.isWritable ? "w" : "")
        try note("map", numbers.joined(separator: ","), access, keep(file))
    }
    func unmap(address: UInt64, size: UInt64) throws(Errno) {
        try note("unmap", String(address, radix: 16), String(size, radix: 16))
    }
    func unmapAll() throws(Errno) { try note("unmap-all") }
    func read(_ region: UInt32, at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        try note("read", region, offset, count)
        return (0..<count + surplus).map { UInt8(truncatingIfNeeded: Int(truncatingIfNeeded: offset) &+ $0) }
    }
    func write(_ region: UInt32, at offset: UInt64, _ bytes: [UInt8]) throws(Errno) {
        try note("write", region, offset, bytes.count > 8 ? "\(bytes.count) bytes" : "\(bytes)")
    }
    func change(
        _ index: InterruptIndex, _ change: InterruptChange, _ descriptors: inout ReceivedDescriptors
    ) throws(Errno) {
        var words = ["\(index)", "\(change)"]
        while let descriptor = descriptors.takeFirst() { words.append(keep(descriptor)) }
        try note("change", words.joined(separator: " "))
    }
    func reset() throws(Errno) { try note("reset") }
}
