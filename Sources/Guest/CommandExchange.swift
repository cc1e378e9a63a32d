// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// The streams of the command that runs in a guest, and which channels they use.
struct CommandExchange {
    enum Mode {
        /// No command: the guest boots or ends.
        case none
        case pipes(GuestCommand)
        case terminal(GuestCommand)
    }

    private let inputChannel: Channel?
    private let outputChannel: Channel?
    private let errorsChannel: Channel?
    private(set) var output: OutputSink
    private(set) var errors: OutputSink
    private var input: InputFeed
    private var hasEnded = false

    init(_ mode: Mode, pieceByteCount: Int) {
        switch mode {
        case .none:
            (inputChannel, outputChannel, errorsChannel) = (nil, nil, nil)
            output = OutputSink(.capture)
            errors = OutputSink(.capture)
            input = InputFeed(.bytes([]), pieceByteCount: 0, counted: false)
        case .pipes(let command):
            (inputChannel, outputChannel, errorsChannel) = (.input, .output, .errors)
            output = OutputSink(command.output)
            errors = OutputSink(command.errors)
            input = InputFeed(command.input, pieceByteCount: pieceByteCount, counted: true)
        case .terminal(let command):
            (inputChannel, outputChannel, errorsChannel) = (.terminal, .terminal, nil)
            output = OutputSink(command.output)
            errors = OutputSink(.capture)
            input = InputFeed(command.input, pieceByteCount: pieceByteCount, counted: false)
        }
    }

    mutating func prepare() { input.advance() }

    /// The guest has taken a piece of the input.
    mutating func inputArrived() { input.acknowledge() }

    mutating func commandEnded() {
        hasEnded = true
        input.end()
    }

    /// After the command's end: whether everything it said is delivered and its input is closed.
    func isSettled(_ wires: GuestWires) -> Bool {
        guard hasEnded, input.isSettled, output.acceptsMore, errors.acceptsMore else { return false }
        return [outputChannel, errorsChannel].allSatisfy { channel in
            channel.map { !wires.hasArrived($0) } ?? true
        }
    }

    /// In the order that `move` expects.
    func pollEntries(_ wires: GuestWires) -> [pollfd] {
        func entry(_ descriptor: Int32, _ events: Int32) -> pollfd {
            pollfd(fd: descriptor, events: Int16(events), revents: 0)
        }
        func near(_ channel: Channel?, _ wanted: Bool) -> Int32 {
            if let channel, wanted { wires.near(channel) } else { -1 }
        }
        return [
            entry(near(outputChannel, output.acceptsMore), POLLIN),
            entry(near(errorsChannel, errors.acceptsMore), POLLIN),
            entry(output.waitsFor, POLLOUT),
            entry(errors.waitsFor, POLLOUT),
            entry(input.waitsFor, POLLIN),
            entry(near(inputChannel, !input.pending.isEmpty), POLLOUT),
        ]
    }

    mutating func move(_ ready: [pollfd], _ wires: GuestWires) {
        if ready[0].revents != 0, let channel = outputChannel, let bytes = wires.receive(channel) {
            output.take(bytes)
        }
        if ready[1].revents != 0, let channel = errorsChannel, let bytes = wires.receive(channel) {
            errors.take(bytes)
        }
        if ready[2].revents != 0 { output.flushOnce() }
        if ready[3].revents != 0 { errors.flushOnce() }
        if ready[4].revents != 0 { input.readOnce() }
        if ready[5].revents != 0, let channel = inputChannel { _ = wires.send(channel, &input.pending) }
    }
}
