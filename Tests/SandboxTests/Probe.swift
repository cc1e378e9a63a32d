// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

/// A share with something beside it, and the probe (Tests/SandboxProbe) where any user can start it.
final class Probe {
    /// As whom the probe runs.
    enum User: CaseIterable, Sendable {
        case root, ordinary

        var launcher: [String] {
            self == .root
                ? [] : ["/usr/bin/setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        }
    }

    let folder: String
    var share: String { folder + "/share" }

    init() throws {
        var template = Array("/tmp/sandbox-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(folder, 0o755)
        let own = try Files.ownProgram()
        let built = own.prefix(upTo: try #require(own.lastIndex(of: "/")))
        try copy("\(built)/sandboxprobe", to: folder + "/sandboxprobe")
        mkdir(share, 0o777)
        chmod(share, 0o777)
        try Files.replace(folder + "/outside", with: Array("secret".utf8))
        try copy("/bin/busybox", to: share + "/program")
        // 1:3 is the null device.
        mknod(share + "/device", S_IFCHR | 0o666, 0x103)
        chmod(share + "/device", 0o666)
    }

    private func copy(_ source: String, to target: String) throws {
        try #require(try ChildProcess.run("/bin/cp", [source, target]).end == .exited(0))
        chmod(target, 0o755)
    }

    deinit { _ = try? ChildProcess.run("/bin/rm", ["-rf", folder]) }

    /// The command line of one run.
    func command(_ user: User, _ words: [String], shared: String? = nil) -> [String] {
        user.launcher + [folder + "/sandboxprobe", shared ?? share] + words
    }

    /// What it prints, by key.
    func run(_ user: User, _ words: [String] = [], shared: String? = nil) throws -> [String: String] {
        let line = command(user, words, shared: shared)
        let program = try #require(Files.program(line[0]))
        let (_, output, errors) = try ChildProcess.run(program, Array(line.dropFirst()))
        var result: [String: String] = [:]
        for line in String(decoding: output + errors, as: UTF8.self).split(separator: "\n") {
            guard let colon = line.firstRange(of: ": ") else { continue }
            result[String(line[..<colon.lowerBound])] = String(line[colon.upperBound...])
        }
        return result
    }
}
