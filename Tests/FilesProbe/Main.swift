// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import MappableFiles

/// Does with MappableFiles what one scenario of the tests says. It is a program because the process is started while there is one thread.
/// Exit status 0: all was as expected; 1: what was not is on standard error; 77: this host cannot, and why. Only tests run it.
///
///     filesprobe SCENARIO DIR
@main
enum Main {
    nonisolated static func main() {
        let words = CommandLine.arguments
        guard words.count == 3, let scenario = scenarios[words[1]] else { exit(2) }
        // Whatever hangs is a failure.
        alarm(120)
        do {
            let files: MappableFiles
            do throws(StartupError) { files = try MappableFiles.start() } catch {
                say("\(error)\n")
                exit(77)
            }
            try scenario(Stage(files: files, folder: words[2]))
        } catch {
            say("\(error)\n")
            exit(1)
        }
        exit(failures == 0 ? 0 : 1)
    }

    private static let scenarios: [String: @Sendable (Stage) throws -> Void] = [
        "start": { _ in },
        "content": content, "untouched": untouched, "many": many, "refused": refused,
        "restricted": restricted,
        "abandoned": abandoned, "killed": killed, "stopped": stopped, "forged": forged, "lineage": lineage,
        "inherited": inherited, "other": other,
        "announced": announced, "partial": partial, "busy": busy, "unheard": unheard, "finished": finished,
        "gone": gone,
        "untold": untold, "walled": walled, "crowd": crowd, "released": released, "nested": nested,
    ]
}

/// What a scenario works with.
struct Stage {
    let files: MappableFiles
    let folder: String

    /// A new file with these bytes, O_RDWR.
    func file(_ name: String, _ text: String) throws -> OwnedDescriptor {
        let path = folder + "/" + name
        let file = OwnedDescriptor(
            adopting: try systemCall { open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600) })
        try Files.writeAll(file.rawValue, Array(text.utf8))
        return file
    }

    /// The process behind `files`, found by its name among all that have a socket to us.
    var process: pid_t { (try? Self.processes())?.max() ?? -1 }

    /// All processes of that name that are ours or nobody's children, which is where it has gone.
    static func processes() throws -> [pid_t] {
        let own = getpid()
        return try Files.names(in: "/proc").compactMap { pid_t($0) }.filter { number in
            guard let name = try? Files.text("/proc/\(number)/comm"), name.hasPrefix("virtiofsd-files") else {
                return false
            }
            return getsid(number) == getsid(own) && getpgid(number) == getpgid(own)
        }
    }
}

/// How many expectations were not met.
nonisolated(unsafe) var failures = 0

func expect(_ condition: Bool, _ what: @autoclosure () -> String) {
    if condition { return }
    failures += 1
    say("not so: \(what())\n")
}

/// The errno that `body` ends with; 0: none.
func failure(_ body: () throws -> Void) -> Int32 {
    do {
        try body()
        return 0
    } catch { return (error as? Errno)?.rawValue ?? -1 }
}

func say(_ text: String) { try? Files.writeAll(STDERR_FILENO, Array(text.utf8)) }
