// SPDX-License-Identifier: Apache-2.0
import CCapNG
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

@testable import Sandbox

/// Capabilities, no_new_privs and filters of system calls belong to threads: each test has one of its own, which ends with it.
@Suite struct CapabilityCutTests {
    /// What /proc says about the calling thread.
    private struct Status: Equatable {
        var permitted: UInt64, effective: UInt64, inheritable: UInt64, ambient: UInt64, bounding: UInt64
        var noNewPrivileges: UInt64

        init() throws {
            let lines = try Files.text("/proc/thread-self/status").split(separator: "\n")
            func number(_ key: String) throws -> UInt64 {
                let line = try #require(lines.first { $0.hasPrefix(key + ":\t") })
                return try #require(UInt64(line.dropFirst(key.count + 2), radix: 16))
            }
            (permitted, effective) = (try number("CapPrm"), try number("CapEff"))
            (inheritable, ambient, bounding) = (
                try number("CapInh"), try number("CapAmb"), try number("CapBnd")
            )
            noNewPrivileges = try number("NoNewPrivs")
        }
    }

    private func inAThread(_ body: @escaping @Sendable () throws -> Void) throws {
        let box = Box()
        let thread = try Thread(name: "cut") {
            do { try body() } catch { box.failure.withLock { $0 = error } }
        }
        thread.join()
        if let error = box.failure.withLock({ $0 }) { throw error }
    }

    private final class Box: Sendable {
        let failure = Mutex<(any Error)?>(nil)
    }

    private static let isRoot = geteuid() == 0
    private static let setpcap: UInt64 = 1 << 8

    @Test(.enabled(if: isRoot, "needs root: capabilities to give up")) func everySetIsCut() throws {
        try inAThread {
            let before = try Status()
            // Inheritable and ambient, as a launcher may leave it.
            try #require(vfs_capset_thread(before.effective, before.permitted, 1) == 0)
            try #require(vfs_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_RAISE), 0, 0, 0) == 0)
            #expect(try Status().ambient == 1)
            let cut = try cutCapabilities(to: .ofShare, CapabilityChanges("+sys_admin:-mknod", spelled: ""))
            let wanted = before.permitted & 0x8020_00db
            #expect(cut == CapabilityCut(kept: CapabilitySet(rawValue: wanted), remark: nil))
            let after = try Status()
            #expect(after.permitted == wanted && after.effective == wanted)
            #expect(after.inheritable == 0 && after.ambient == 0 && after.bounding == 0)
            // And for good.
            #expect(vfs_capset_thread(before.effective, before.permitted, 0) == -1)
        }
    }

    @Test(.enabled(if: isRoot, "needs root: capabilities to give up")) func whatIsNotThereIsNotTaken() throws
    {
        try inAThread {
            let before = try Status()
            try #require(vfs_capset_thread(1, 1, 0) == 0)  // chown alone
            let cut = try cutCapabilities(to: [.ofShare, .fileHandles], CapabilityChanges())
            #expect(cut.kept.rawValue == 1)
            #expect(
                cut.remark
                    == "cannot empty the bounding set of capabilities: this process does not have setpcap; programs that it "
                    + "starts get none all the same (no_new_privs)")
            #expect(try Status().bounding == before.bounding)
        }
    }

    @Test(.enabled(if: isRoot, "needs root: capabilities to give up")) func whatIsAddedMustBeThere() throws {
        try inAThread {
            let before = try Status()
            try #require(vfs_capset_thread(1, 1 | Self.setpcap, 0) == 0)
            let error = #expect(throws: StartupError.self) {
                try cutCapabilities(to: .ofShare, CapabilityChanges("+sys_admin:+chown", spelled: ""))
            }
            #expect(
                error?.description
                    == "cannot keep capabilities that --modcaps adds: this process does not have sys_admin; start it as root "
                    + "and with them, or take them out of --modcaps")
            #expect(try Status().bounding == before.bounding, "nothing is changed before")
        }
    }

    /// An ordinary user has nothing to give up.
    @Test func whoHasNothingKeepsNothingAndHearsNothing() throws {
        try inAThread {
            try #require(vfs_capset_thread(0, 0, 0) == 0)
            let cut = try cutCapabilities(
                to: [.ofShare, .fileHandles], CapabilityChanges("-mknod", spelled: ""))
            #expect(cut == CapabilityCut(kept: [], remark: nil))
            #expect(throws: StartupError.self) {
                try cutCapabilities(to: .ofShare, CapabilityChanges("+mknod", spelled: ""))
            }
        }
    }

    /// As in a container whose filter of system calls refuses capset(2).
    @Test(.enabled(if: isRoot, "needs root: capabilities to give up")) func moreThanAskedForIsNeverKept()
        throws
    {
        try inAThread {
            try #require(vfs_capset_thread(1 | Self.setpcap, 1 | Self.setpcap, 0) == 0)
            try refuse(SYS_capset)
            let error = #expect(throws: StartupError.self) {
                try cutCapabilities(to: .ofShare, CapabilityChanges())
            }
            #expect(
                error?.description
                    == "cannot give up capabilities (setpcap): Operation not permitted; allow capset(2) where this process is "
                    + "confined, or start it without them")
        }
        // What has no more than that need not be asked for less.
        try inAThread {
            try #require(vfs_capset_thread(1, 1, 0) == 0)
            try refuse(SYS_capset)
            #expect(try cutCapabilities(to: .ofShare, CapabilityChanges()).kept.rawValue == 1)
        }
    }

    @Test(.enabled(if: isRoot, "needs root: a bounding set to lower")) func aRefusedBoundIsSaid() throws {
        try inAThread {
            try refuse(SYS_prctl, first: PR_CAPBSET_DROP)
            let cut = try cutCapabilities(to: .ofShare, CapabilityChanges())
            #expect(cut.kept.isSubset(of: .ofShare))
            #expect(cut.remark?.contains("bounding set of capabilities: Operation not permitted;") == true)
        }
    }

    @Test func noNewPrivileges() throws {
        try inAThread {
            try forbidNewPrivileges()
            #expect(try Status().noNewPrivileges == 1)
        }
    }
}

/// Lets the calling thread's system call `number` fail with EPERM: with `first` only where that is its first argument.
private func refuse(_ number: Int32, first: Int32? = nil) throws {
    // struct sock_filter: code, jump if true, jump if false, constant.
    struct Instruction { var code: UInt16; var yes: UInt8 = 0; var no: UInt8 = 0; var constant: UInt32 }
    struct Program { var count: UInt16; var instructions: UnsafePointer<Instruction> }
    var filter = [
        Instruction(code: 0x20, constant: 0),  // BPF_LD|BPF_W|BPF_ABS: the system call's number
        // BPF_JMP|BPF_JEQ|BPF_K: past the refusal if it is another one
        Instruction(code: 0x15, yes: 0, no: first == nil ? 1 : 3, constant: UInt32(number)),
    ]
    if let first {
        filter.append(Instruction(code: 0x20, constant: 16))  // the low half of its first argument
        filter.append(Instruction(code: 0x15, yes: 0, no: 1, constant: UInt32(first)))
    }
    filter.append(Instruction(code: 0x06, constant: 0x0005_0000 | UInt32(EPERM)))  // SECCOMP_RET_ERRNO
    filter.append(Instruction(code: 0x06, constant: 0x7FFF_0000))  // SECCOMP_RET_ALLOW
    try forbidNewPrivileges()
    try filter.withUnsafeBufferPointer { buffer in
        var program = Program(count: UInt16(buffer.count), instructions: try #require(buffer.baseAddress))
        // PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
        try withUnsafePointer(to: &program) {
            try #require(vfs_prctl(22, 2, UInt(bitPattern: $0), 0, 0) == 0)
        }
    }
}
