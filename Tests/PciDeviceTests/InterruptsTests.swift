// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import PciDevice

/// An eventfd of the VMM's, and the copy that the device gets.
private struct Line {
    let event: EventFD
    let copy: SharedDescriptor

    init() throws {
        event = try EventFD()
        copy = SharedDescriptor(try event.descriptor.duplicate())
    }

    /// Whether it was signalled since the last time.
    var wasSignalled: Bool { event.clear() }
}

@Suite struct InterruptsTests {
    @Test func vectorsAreTheVMMs() throws {
        let interrupts = try Interrupts(vectorCount: 3)
        let lines = try (0..<3).map { _ in try Line() }
        // Before MSI-X is on, everything comes to us.
        #expect(interrupts.target(ofVector: 1) === interrupts.queueEvent)
        for (index, line) in lines.enumerated() { interrupts.setVector(index, line.copy) }
        #expect(interrupts.target(ofVector: 1) === lines[1].copy)
        // No vector, or one that does not exist: nobody is told.
        let nowhere = interrupts.target(ofVector: 0xffff)
        #expect(nowhere !== interrupts.queueEvent && lines.allSatisfy { $0.copy !== nowhere })
        #expect(interrupts.target(ofVector: 3) === nowhere)
        interrupts.setVector(1, nil)
        #expect(interrupts.target(ofVector: 1) === nowhere)
        interrupts.signalConfiguration(vector: 0)
        #expect(lines[0].wasSignalled && !lines[2].wasSignalled)
        interrupts.test(vector: 2)
        #expect(lines[2].wasSignalled)
    }

    @Test func theLineIsALevel() throws {
        let (interrupts, line) = (try Interrupts(vectorCount: 2), try Line())
        interrupts.setLine(line.copy)
        signalEvent(interrupts.queueEvent.rawValue)
        interrupts.takeQueueEvent()
        #expect(line.wasSignalled && interrupts.isLinePending)
        // More of it before the VMM unmasks is not told.
        signalEvent(interrupts.queueEvent.rawValue)
        interrupts.takeQueueEvent()
        #expect(!line.wasSignalled)
        // The guest has not asked yet: the level is still there.
        interrupts.unmaskLine()
        #expect(line.wasSignalled)
        #expect(interrupts.takeStatus() == 1)
        #expect(interrupts.takeStatus() == 0 && !interrupts.isLinePending)
        interrupts.unmaskLine()
        #expect(!line.wasSignalled)
        interrupts.signalConfiguration(vector: 0xffff)
        #expect(line.wasSignalled)
        #expect(interrupts.takeStatus() == 2)
    }

    @Test func aLineThatIsOffIsMadeUpFor() throws {
        let (interrupts, line) = (try Interrupts(vectorCount: 2), try Line())
        interrupts.setLine(line.copy)
        interrupts.isLineDisabled = true
        interrupts.signalConfiguration(vector: 0)
        #expect(!line.wasSignalled)
        interrupts.isLineDisabled = false
        #expect(line.wasSignalled)
        interrupts.unmaskLine()
        interrupts.maskLine()
        _ = line.wasSignalled
        interrupts.signalConfiguration(vector: 0)
        #expect(!line.wasSignalled)
        interrupts.unmaskLine()
        #expect(line.wasSignalled)
    }

    @Test func aLineThatComesLateIsTold() throws {
        let (interrupts, line) = (try Interrupts(vectorCount: 2), try Line())
        interrupts.signalConfiguration(vector: 0)
        interrupts.setLine(line.copy)
        #expect(line.wasSignalled)
        interrupts.clearCauses()
        interrupts.unmaskLine()
        #expect(!line.wasSignalled)
    }

    @Test func nothingIsPendingWithoutAnEvent() throws {
        let interrupts = try Interrupts(vectorCount: 2)
        interrupts.takeQueueEvent()
        #expect(!interrupts.isLinePending && interrupts.takeStatus() == 0)
    }

    @Test func resetGivesTheVMMsDescriptorsBack() throws {
        let interrupts = try Interrupts(vectorCount: 1)
        weak var copy: SharedDescriptor?
        do {
            let line = try Line()
            copy = line.copy
            interrupts.setVector(0, line.copy)
            interrupts.setLine(line.copy)
        }
        #expect(copy != nil)
        interrupts.reset()
        #expect(copy == nil)
    }
}
