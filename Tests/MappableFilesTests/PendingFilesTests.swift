// SPDX-License-Identifier: Apache-2.0
import HostOS
import Testing

@testable import MappableFiles

@Suite struct PendingFilesTests {
    @Test func aNumberIsGoodOnce() {
        var files = PendingFiles()
        #expect(files.isEmpty)
        let (first, second) = (files.add(10), files.add(11))
        #expect(first != second && files.contains(first) && !files.contains(0) && !files.contains(second + 1))
        #expect(files.take(first) == 10)
        #expect(files.take(first) == nil && !files.contains(first))
        #expect(files.takeAbandoned() == nil)
        #expect(files.take(second) == 11)
        #expect(files.isEmpty)
        #expect(files.add(12) > second)
    }

    /// Beyond its capacity the oldest is given back, and before that who is late.
    @Test func nobodyWaitsForEver() {
        var files = PendingFiles()
        for backing in 0..<UInt32(PendingFiles.capacity) { _ = files.add(backing) }
        #expect(files.takeAbandoned() == nil)
        _ = files.add(1000)
        #expect(files.takeAbandoned() == 0)
        #expect(files.takeAbandoned() == nil)

        files = PendingFiles()
        let late = files.add(7, until: Deadline(milliseconds: 0))
        _ = files.add(8)
        #expect(files.takeAbandoned() == 7)
        #expect(!files.contains(late))
        #expect(files.takeAbandoned() == nil)
    }
}
