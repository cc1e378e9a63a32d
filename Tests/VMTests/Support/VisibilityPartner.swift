// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization

/// The host of a guest that watches its regions (Scenarios/device.py): it stores numbers in the version table and the journal, each
/// when the guest has answered the last. First the guest answers by a write to a file of the share, then in its own memory, which
/// the host finds by a mark and reads; so that both directions can be told from what a request costs.
final class VisibilityPartner: Sendable {
    /// The file behind both regions, and the file of the share.
    let regions: SharedDescriptor
    let echo: String
    /// The numbers of each part: 1 to `turns`, and as many more.
    let turns: UInt64
    /// The second word of the page in which the guest answers.
    let mark = UInt64.random(in: 1 << 62...UInt64.max)
    private let stop: EventFD
    private let outcome = Mutex<Result<[Int64], any Error>>(.success([]))

    enum Failure: Error {
        case stopped
        case order(expected: UInt64, seen: UInt64)
        case marks(Int)
    }

    init(regions: SharedDescriptor, echo: String, turns: UInt64) throws {
        (self.regions, self.echo, self.turns) = (regions, echo, turns)
        stop = try EventFD()
    }

    /// Plays its part with the guest of this process until the end, or until it is told to stop.
    func start(machine: pid_t) throws -> HostOS.Thread {
        try HostOS.Thread(name: "partner") { [self] in
            let result = Result<[Int64], any Error> {
                try answersByFile()
                return try answersByMemory(machine)
            }
            outcome.withLock { $0 = result }
            // A guest that waits for us waits no longer.
            if case .failure = result { store(.max) }
        }
    }

    func end() { stop.signal() }

    /// Why it could not go on, once its thread has ended.
    var failure: (any Error)? {
        do { _ = try roundTrips } catch { return error }
        return nil
    }

    /// When its thread has ended: how long each answer by memory took from the store on, in ns, sorted.
    var roundTrips: [Int64] { get throws { try outcome.withLock { $0 }.get().sorted() } }

    private func store(_ number: UInt64) {
        var number = number
        // The journal's first word, then the version table's last.
        for place in [4 << 20, (4 << 20) - 8] {
            _ = withUnsafeBytes(of: &number) { pwrite(regions.rawValue, $0.baseAddress, 8, place) }
        }
    }

    private func word(_ file: Int32, _ place: Int) -> UInt64 {
        var word: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &word) { pread(file, $0.baseAddress, 8, place) }
        return word
    }

    /// Whether the answer is `turn` already; it can only be that or the one before.
    private func isAnswered(_ turn: UInt64, _ file: Int32, _ place: Int) throws -> Bool {
        let seen = word(file, place)
        guard seen == turn || seen == turn - 1 else { throw Failure.order(expected: turn, seen: seen) }
        return seen == turn
    }

    private func answersByFile() throws {
        let file = OwnedDescriptor(adopting: try systemCall { open(echo, O_RDONLY | O_CLOEXEC) })
        let watch = OwnedDescriptor(adopting: try systemCall { inotify_init1(Int32(IN_CLOEXEC)) })
        _ = try systemCall { inotify_add_watch(watch.rawValue, echo, UInt32(IN_MODIFY)) }
        var events = [UInt8](repeating: 0, count: 4096)
        for turn in 1...turns {
            store(turn)
            while try !isAnswered(turn, file.rawValue, 0) {
                guard waitReadable(watch.rawValue, stop.descriptor.rawValue, timeoutMilliseconds: -1) == 1
                else { throw Failure.stopped }
                _ = read(watch.rawValue, &events, events.count)
            }
        }
    }

    private func answersByMemory(_ machine: pid_t) throws -> [Int64] {
        let memory = try Self.memory(machine)
        let places = marks(in: memory.rawValue)
        guard let place = places.first, places.count == 1 else { throw Failure.marks(places.count) }
        var trips: [Int64] = []
        // The first number begins it: the guest has waited meanwhile.
        for turn in turns + 1...2 * turns {
            let began = monotonicNanoseconds()
            store(turn)
            while try !isAnswered(turn, memory.rawValue, place) {
                guard waitReadable(stop.descriptor.rawValue, timeoutMilliseconds: 0) == 0 else {
                    throw Failure.stopped
                }
            }
            trips.append(monotonicNanoseconds() - began)
        }
        return trips
    }

    /// Where in the guest's memory there are pages with the mark.
    private func marks(in memory: Int32) -> [Int] {
        var buffer = [UInt64](repeating: 0, count: 1 << 17)
        var places: [Int] = []
        var start = 0
        while true {
            let count = pread(memory, &buffer, buffer.count * 8, start)
            if count <= 0 { return places }
            for page in stride(from: 0, to: count, by: 4096) where buffer[page / 8 + 1] == mark {
                places.append(start + page)
            }
            start += count
        }
    }

    /// The memory of a guest that QEMU runs.
    private static func memory(_ machine: pid_t) throws -> OwnedDescriptor {
        for name in try Files.names(in: "/proc/\(machine)/fd") {
            let path = "/proc/\(machine)/fd/\(name)"
            var target = [CChar](repeating: 0, count: 256)
            let count = readlink(path, &target, target.count)
            let bytes = target.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
            if String(decoding: bytes, as: UTF8.self).hasPrefix("/memfd:memory") {
                return OwnedDescriptor(adopting: try systemCall { open(path, O_RDONLY | O_CLOEXEC) })
            }
        }
        throw Errno.ENOENT
    }
}
