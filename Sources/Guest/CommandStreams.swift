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
        if isBroken { return }
        if target < 0 { captured += bytes } else { pending = bytes[...] }
    }

    /// The reader has gone; what comes is dropped.
    private(set) var isBroken = false

    /// Writes at most what a pipe that polls writable is sure to take (PIPE_BUF).
    mutating func flushOnce() {
        let part = pending.prefix(4096)
        let count = unsafe part.withUnsafeBytes { unsafe write(target, $0.baseAddress, $0.count) }
        if count >= 0 {
            pending = pending.dropFirst(count)
        } else if errno != EAGAIN && errno != EINTR {
            pending = []
            isBroken = true
        }
    }
}

/// Where bytes for the guest come from. Counted pieces for a command's pipe, each after the guest has taken the one before;
/// plain bytes for a terminal.
struct InputFeed {
    private let pieceByteCount: Int
    private var source: ArraySlice<UInt8> = []
    /// −1 once its end was read.
    private(set) var descriptor: Int32 = -1
    private let counted: Bool
    /// A piece is on its way or in the guest, which has not said that it took it.
    private var isOutstanding = false
    private(set) var isEnded = false
    /// On its way into the channel.
    var pending: ArraySlice<UInt8> = []

    init(_ input: GuestInput, pieceByteCount: Int, counted: Bool) {
        self.pieceByteCount = pieceByteCount
        self.counted = counted
        switch input {
        case .bytes(let bytes): source = bytes[...]
        case .descriptor(let number): descriptor = number
        }
    }

    /// The descriptor to watch for being readable, or −1.
    var waitsFor: Int32 { isReady ? descriptor : -1 }

    /// Nothing more will go out, and the guest has taken all that went.
    var isSettled: Bool { isEnded && pending.isEmpty && !isOutstanding }

    private var isReady: Bool { pending.isEmpty && !isEnded && !isOutstanding }

    mutating func acknowledge() { isOutstanding = false }

    /// Makes the next piece pending from memory.
    mutating func advance() {
        guard isReady, descriptor < 0 else { return }
        push(Array(source.prefix(pieceByteCount)))
        source = source.dropFirst(pieceByteCount)
    }

    /// Makes what the descriptor has now pending.
    mutating func readOnce() {
        var piece = [UInt8](repeating: 0, count: pieceByteCount)
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
            isOutstanding = counted
        }
    }
}
