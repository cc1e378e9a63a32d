// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

@main
enum Main {
    /// Exit status: 0 told to end, or a question answered; 1 cannot start; 2 the command line; 128 + n the
    /// serving process died of signal n.
    nonisolated static func main() {
        let request: Request
        do throws(StartupError) {
            request = try readCommandLine(commandLineWords(), cpus: usableCPUs())
        } catch {
            fail(error, status: 2)
        }
        switch request {
        case .answer(let text): say(text, to: STDOUT_FILENO)
        case .help(let text):
            say(text, to: STDERR_FILENO)
            exit(2)
        case .serve(let options):
            do throws(StartupError) {
                exit(try serve(options))
            } catch {
                if options.syslog { Log.error("\(error)") }
                fail(error, status: 1)
            }
        }
    }

    private static func fail(_ error: StartupError, status: Int32) -> Never {
        say("virtiofsd: \(error)", to: STDERR_FILENO)
        exit(status)
    }
}
