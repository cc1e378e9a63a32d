// SPDX-License-Identifier: Apache-2.0
import Glibc
import Errors
import HostOS

/// A directory of the host for a share, removed with all that is in it.
final class ScratchDirectory: Sendable {
    let path: String

    init(in folder: String = "/tmp") throws {
        var template = Array("\(folder)/virtiofs-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
    }

    deinit { _ = try? ChildProcess.run("/bin/rm", ["-rf", path]) }

    func write(_ name: String, _ text: String) throws {
        try Files.replace("\(path)/\(name)", with: Array(text.utf8))
    }

    /// Writes into the file that is there, which keeps its identity.
    func overwrite(_ name: String, _ text: String) throws {
        let file = OwnedDescriptor(adopting: try systemCall { open("\(path)/\(name)", O_WRONLY | O_TRUNC) })
        try Files.writeAll(file.rawValue, Array(text.utf8))
    }

    func text(_ name: String) -> String { (try? Files.text("\(path)/\(name)")) ?? "(there is no \(name))" }

    func has(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }

    /// Looks every 20 ms until `condition` holds.
    func wait(seconds: Int32 = 60, _ condition: (ScratchDirectory) -> Bool) -> Bool {
        let deadline = Deadline(milliseconds: seconds * 1000)
        while !condition(self) {
            if deadline.hasPassed { return false }
            usleep(20_000)
        }
        return true
    }
}
