// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

@main
enum Main {
    nonisolated static func main() {
        do throws(StartupError) {
            switch try readCommandLine(commandLineWords(), cpus: usableCPUs()) {
            case .answer(let text): say(text, to: STDOUT_FILENO)
            case .help(let text):
                say(text, to: STDERR_FILENO)
                exit(2)
            case .serve: break
            }
        } catch {
            say("virtiofsd: \(error)", to: STDERR_FILENO)
            exit(2)
        }
    }
}
