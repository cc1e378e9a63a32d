// SPDX-License-Identifier: Apache-2.0

/// What kind of thread a filter is for.
package enum ThreadRole: String, Sendable, CaseIterable {
    /// The main thread, once everything has started: talks to the front-end, maps guest memory.
    case control
    /// Queue workers and all that they start: threads that wait for disks and for locks.
    case request
    /// Waits for SIGTERM.
    case signals
}

/// One system call that threads of a role make, and for whom.
struct SystemCallRule: Sendable {
    enum Verdict: Sendable, Equatable {
        case allow
        /// Fails with this errno, which whoever makes the call is prepared for.
        case fail(Int32)
    }

    let name: String
    /// For what this libseccomp may not know yet; the same number on every architecture (those from 424 on are).
    let number: Int32?
    /// All must hold; none: whatever the arguments are, which costs nothing (the kernel keeps a table of such calls).
    let conditions: [ArgumentCondition]
    let verdict: Verdict
    /// Who needs it, for the reader.
    let user: String

    init(
        _ name: String, _ conditions: ArgumentCondition..., number: Int32? = nil, verdict: Verdict = .allow,
        for user: String
    ) {
        self.name = name
        self.number = number
        self.conditions = conditions
        self.verdict = verdict
        self.user = user
    }
}

/// What one argument of a system call must be: `mask` says which of its bits count.
struct ArgumentCondition: Sendable, Equatable {
    let index: UInt32
    let mask: UInt64
    let value: UInt64

    /// The argument, an int, has this value. The kernel does not look at the upper half of the register, and neither do we.
    static func int(_ index: UInt32, is value: Int32) -> ArgumentCondition {
        ArgumentCondition(index: index, mask: 0xFFFF_FFFF, value: UInt64(UInt32(bitPattern: value)))
    }

    /// The argument, an unsigned int, has this value.
    static func unsigned(_ index: UInt32, is value: UInt) -> ArgumentCondition {
        ArgumentCondition(index: index, mask: 0xFFFF_FFFF, value: UInt64(value) & 0xFFFF_FFFF)
    }

    /// The argument has none of these bits.
    static func bits(_ index: UInt32, without bits: Int32) -> ArgumentCondition {
        let mask = UInt64(UInt32(bitPattern: bits))
        return ArgumentCondition(index: index, mask: mask, value: 0)
    }

    /// The argument, 32 bits of flags, has all of `required`, perhaps some of `optional`, and no others.
    static func flags(_ index: UInt32, exactly required: Int32, perhaps optional: Int32)
        -> ArgumentCondition
    {
        ArgumentCondition(
            index: index, mask: UInt64(UInt32(bitPattern: ~optional)),
            value: UInt64(UInt32(bitPattern: required)))
    }
}
