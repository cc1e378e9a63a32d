// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// `virtiofs-agent`, which a guest gets from this host: a program that has all its libraries in it.
package enum AgentProgram {
    /// Where it is in a guest: of its first file system, or of a root that a share is.
    package static let guestPaths = ["/bin/virtiofs-agent", "/run/virtiofs-agent"]

    /// The agent beside this program, or where `make install` puts it.
    package static func find() throws(StartupError) -> String {
        let own = (try? Files.ownProgram()) ?? ""
        let folder = String(own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex))
        let places = ["\(folder)/virtiofs-agent", "\(folder)/../libexec/virtiofs-agent"]
        guard let program = places.lazy.compactMap({ Files.program($0) }).first else {
            throw StartupError(
                operation: "find", subject: "virtiofs-agent",
                reason: "it is neither beside this program nor in ../libexec", hint: "run make build")
        }
        try check(program)
        return program
    }

    /// Refuses a program that needs a dynamic linker, such as the one that a plain `swift build` makes.
    package static func check(_ program: String) throws(StartupError) {
        let bytes = try starting("read", program) { () throws(Errno) in try Files.read(program) }
        guard isStatic(bytes) else {
            throw StartupError(
                operation: "run in a guest", subject: program, reason: "it needs libraries of this host",
                hint: "run make build, or scripts/build-agent DIRECTORY")
        }
    }

    /// An ELF file of 64 bits without PT_INTERP.
    static func isStatic(_ bytes: [UInt8]) -> Bool {
        func number(_ offset: Int, _ count: Int) -> Int? {
            guard offset >= 0, offset <= bytes.count - count else { return nil }
            return (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        guard bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2]), let first = number(32, 4),
            let size = number(54, 2), let count = number(56, 2)
        else { return false }
        let interpreter = 3
        return (0..<count).allSatisfy { index in
            number(first + index * size, 4).map { $0 != interpreter } ?? false
        }
    }
}
