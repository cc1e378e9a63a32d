// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc

/// How far the kernel reads ahead on one file system.
package enum ReadAhead {
    /// Sets it for the file system mounted at `path` (absolute, without links), without asking that file system anything.
    /// ENOENT when nothing is mounted there.
    package static func set(kibibytes: Int, forMountAt path: String) throws(Errno) {
        guard let device = device(ofMountAt: path, in: try Files.text("/proc/self/mountinfo")) else {
            throw .ENOENT
        }
        let file = "/sys/class/bdi/\(device)/read_ahead_kb"
        let number = OwnedDescriptor(adopting: try systemCall { unsafe open(file, O_WRONLY | O_CLOEXEC) })
        try Files.writeAll(number.rawValue, Array("\(kibibytes)".utf8))
    }

    /// MAJOR:MINOR of what was mounted last at `path`, from the text of a mountinfo file: id, parent, device, root, path,
    /// with some characters of the path in octal.
    package static func device(ofMountAt path: String, in mountinfo: String) -> String? {
        let octal: [Character: String] = [" ": "\\040", "\t": "\\011", "\n": "\\012", "\\": "\\134"]
        let wanted = path.map { octal[$0] ?? String($0) }.joined()
        var result: String?
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5)
            if fields.count == 6, fields[4] == wanted { result = String(fields[2]) }
        }
        return result
    }
}
