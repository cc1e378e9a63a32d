// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Where bytes from the guest go: into memory, or on to a descriptor without ever blocking on it.
struct OutputSink {
    private(set) var captured: [UInt8] = []
    private var pending: ArraySlice<UInt8> = []
    /// −1 captures.
    private var target: Int32

    init(_ output: GuestOutput) {
        switch output {
        case .capture: target = -1
        case .descriptor(let number): target = number
        }
    }

    /// Whether more may be taken from the guest; when not, the guest waits until our reader has caught up.
    var acceptsMore: Bool { pending.isEmpty }
    /// The descriptor to watch for being writable, or −1.
    var waitsFor: Int32 { pending.isEmpty ? -1 : target }

    mutating func take(_ bytes: [UInt8]) {
        if target < 0 { captured += bytes } else { pending = bytes[...] }
    }

    /// Writes at most what a pipe that polls writable is sure to take (PIPE_BUF). A reader who is gone gets no more.
    mutating func flushOnce() {
        let part = pending.prefix(4096)
        let count = unsafe part.withUnsafeBytes { unsafe write(target, $0.baseAddress, $0.count) }
        if count >= 0 {
            pending = pending.dropFirst(count)
        } else if errno != EAGAIN && errno != EINTR {
            pending = []
            target = discard
        }
    }

    /// /dev/null, shared by all: a sink whose reader has gone goes on taking.
    private var discard: Int32 { Self.null }
    private static let null = unsafe open("/dev/null", O_WRONLY | O_CLOEXEC)
}

/// Where bytes for the guest come from. Counted pieces for a command's pipe, plain bytes for a terminal.
struct InputFeed {
    private static let pieceByteCount = 32768
    private var source: ArraySlice<UInt8> = []
    /// −1 once its end was read.
    private(set) var descriptor: Int32 = -1
    private let counted: Bool
    private(set) var isEnded = false
    /// On its way into the channel.
    var pending: ArraySlice<UInt8> = []

    init(_ input: GuestInput, counted: Bool) {
        self.counted = counted
        switch input {
        case .bytes(let bytes): source = bytes[...]
        case .descriptor(let number): descriptor = number
        }
    }

    /// The descriptor to watch for being readable, or −1.
    var waitsFor: Int32 { pending.isEmpty && !isEnded ? descriptor : -1 }

    /// Makes the next piece pending from memory.
    mutating func advance() {
        guard pending.isEmpty, !isEnded, descriptor < 0 else { return }
        push(Array(source.prefix(Self.pieceByteCount)))
        source = source.dropFirst(Self.pieceByteCount)
    }

    /// Makes what the descriptor has now pending.
    mutating func readOnce() {
        var piece = [UInt8](repeating: 0, count: Self.pieceByteCount)
        let count = unsafe read(descriptor, &piece, piece.count)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        if count <= 0 { descriptor = -1 }
        push(Array(piece[..<max(0, count)]))
    }

    /// Nobody reads any more: only the end mark goes out still.
    mutating func end() {
        source = []
        descriptor = -1
        if !isEnded { pending += counted ? Array("0\n".utf8) : [] }
        isEnded = true
    }

    private mutating func push(_ piece: [UInt8]) {
        if piece.isEmpty {
            end()
        } else {
            pending += counted ? Array("\(piece.count)\n".utf8) + piece : piece
        }
    }
}
