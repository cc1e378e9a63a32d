// SPDX-License-Identifier: Apache-2.0
import CLinux
import CSeccomp
import Errors
import Glibc
import HostOS

/// `--seccomp`: what becomes of a system call that its thread has no use for.
package enum FilterAction: String, Sendable, CaseIterable {
    /// The process ends by SIGSYS, and the kernel's log says why.
    case kill
    /// The same, and the process says why.
    case trap
    /// The kernel's log says so, and the call is made.
    case log
    /// No filters.
    case none

    fileprivate var library: UInt32 {
        switch self {
        case .kill: SCMP_ACT_KILL_PROCESS
        case .trap: SCMP_ACT_TRAP
        case .log: SCMP_ACT_LOG
        case .none: SCMP_ACT_ALLOW
        }
    }
}

/// The filters of this process's threads, compiled for the kernel. A thread takes its own with `load`, for good, and those that
/// it starts have it too.
package struct SystemCallFilters: Sendable {
    private let programs: [ThreadRole: [UInt8]]

    /// - Parameters:
    ///   - usesSystemLog: with `--syslog`, whose socket must be there.
    ///   - usesWindow: with `--dax-window`.
    /// - Throws: when the host lets this process have no filters.
    package init(
        _ action: FilterAction, usesSystemLog: Bool, usesWindow: Bool = false
    ) throws(StartupError) {
        do throws(Errno) {
            if action == .none {
                programs = [:]
                return
            }
            _ = try systemCall { vfs_filter_probe() }
            var programs: [ThreadRole: [UInt8]] = [:]
            for role in ThreadRole.allCases {
                let rules = role.rules(
                    process: getpid(), usesSystemLog: usesSystemLog, usesWindow: usesWindow)
                programs[role] = try compile(rules, otherwise: action)
            }
            if action == .trap { try reportTraps() }
            self.programs = programs
        } catch {
            throw StartupError(
                operation: "filter", subject: "this process's system calls", reason: describe(error),
                hint: "allow seccomp(2) where this process is confined, or say --seccomp none")
        }
    }

    /// The calling thread makes no other system calls than those of `role` from now on. It must have no_new_privs.
    package func load(_ role: ThreadRole) throws(Errno) {
        guard let program = programs[role] else { return }
        _ = try systemCall {
            unsafe program.withUnsafeBytes { unsafe vfs_filter_load($0.baseAddress, $0.count) }
        }
    }

    /// `struct sock_filter` after another; nil for `FilterAction.none`.
    func program(_ role: ThreadRole) -> [UInt8]? { programs[role] }
}

/// What libseccomp makes of `rules`: the kernel's instructions, a binary tree by number. What no argument matters to, the kernel
/// does not even ask the filter about.
func compile(_ rules: [SystemCallRule], otherwise action: FilterAction) throws(Errno) -> [UInt8] {
    guard let filter = unsafe seccomp_init(action.library) else { throw .EINVAL }
    defer { unsafe seccomp_release(filter) }
    // Calls of another architecture (32 bits) have other numbers.
    try check(unsafe seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS))
    // Before libseccomp 2.5 there is no tree, and the filter is the same.
    _ = unsafe seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    for rule in rules { try unsafe add(rule, to: filter) }
    let file = try makeMemoryFile(name: "filter", byteCount: 0)
    try check(unsafe seccomp_export_bpf(filter, file.rawValue))
    return try Files.readAllFromStart(file.rawValue)
}

private func add(_ rule: SystemCallRule, to filter: scmp_filter_ctx) throws(Errno) {
    var number = systemCallNumber(named: rule.name)
    if number == __NR_SCMP_ERROR, let known = rule.number { number = known }
    // An architecture without it: nobody makes the call.
    if number < 0 { return }
    let conditions = rule.conditions.map {
        scmp_arg_cmp(arg: $0.index, op: SCMP_CMP_MASKED_EQ, datum_a: $0.mask, datum_b: $0.value)
    }
    let verdict =
        switch rule.verdict {
        case .allow: SCMP_ACT_ALLOW
        // SCMP_ACT_ERRNO, a macro.
        case .fail(let code): 0x0005_0000 | UInt32(code) & 0xFFFF
        }
    try check(
        unsafe conditions.withUnsafeBufferPointer {
            unsafe seccomp_rule_add_array(filter, verdict, number, UInt32($0.count), $0.baseAddress)
        })
}

/// Negative: −1 for a name that libseccomp does not know, less for one that this architecture does not have.
func systemCallNumber(named name: String) -> Int32 { unsafe seccomp_syscall_resolve_name(name) }

/// libseccomp returns its errors negated.
private func check(_ result: Int32) throws(Errno) {
    if result < 0 { throw Errno(rawValue: -result) }
}

/// A handler must not ask for the names of system calls, so they are looked up before.
private func reportTraps() throws(Errno) {
    let names = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: Int(VFS_FILTER_NAMES))
    for number in 0..<Int32(VFS_FILTER_NAMES) {
        unsafe names[Int(number)] = unsafe seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number)
    }
    // Both stay as long as the process.
    _ = try systemCall { unsafe vfs_filter_report(names) }
}
