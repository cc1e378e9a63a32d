// SPDX-License-Identifier: Apache-2.0
import CFuzz
import FuzzTargets
import Glibc
import HostOS

/// `fuzz TARGET [libFuzzer's options and folders]` runs libFuzzer on a target;
/// `fuzz targets` names them; `fuzz seeds FOLDER` writes the seeds of all.
@main
enum Main {
    /// libFuzzer takes a C function, which needs it here. One thread uses it.
    nonisolated(unsafe) private static var target: (any FuzzTarget)?

    nonisolated static func main() {
        let words = CommandLine.arguments
        guard words.count > 1 else {
            fail("say which: \(FuzzTargets.names.joined(separator: ", ")), or seeds FOLDER")
        }
        if words[1] == "targets" { return print(FuzzTargets.names.joined(separator: "\n")) }
        if words[1] == "seeds", words.count == 3 { return writeSeeds(words[2]) }
        do { target = try FuzzTargets.make(words[1], ownsProcess: true) } catch {
            fail("\(words[1]) cannot start: \(error)")
        }
        guard target != nil else { fail("there is no \(words[1])") }
        // What a file may grow to, so that no input fills the host's memory.
        var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        ignoreFileSizeSignals()
        var arguments = ([words[0], "-handle_xfsz=0"] + words.dropFirst(2)).map { strdup($0) }
        arguments.append(nil)
        exit(
            fuzz_drive(Int32(arguments.count - 1), &arguments) { data, size in
                do {
                    try Main.target?.run(UnsafeRawBufferPointer(start: data, count: size))
                } catch {
                    Main.fail("broken: \(error)")
                }
                return 0
            })
    }

    private static func writeSeeds(_ folder: String) {
        for name in FuzzTargets.names {
            for seed in Seeds.of(name) {
                mkdir(folder, 0o755)
                mkdir("\(folder)/\(name)", 0o755)
                guard let file = fopen("\(folder)/\(name)/\(seed.name)", "w") else {
                    fail("cannot write into \(folder)")
                }
                fwrite(seed.bytes, 1, seed.bytes.count, file)
                fclose(file)
            }
        }
    }

    /// Not exit: libFuzzer keeps the input of a process that aborts.
    private static func fail(_ text: String) -> Never {
        let line = "fuzz: \(text)\n"
        write(STDERR_FILENO, line, line.utf8.count)
        abort()
    }
}
