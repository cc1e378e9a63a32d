// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// Runs checks in a directory, each in a fresh one below it.
package struct Runner: Sendable {
    private let directory: Path
    private let deadlineSeconds: Int32

    /// - Parameters:
    ///   - directory: an absolute path; the file system under test.
    ///   - deadlineSeconds: what a single check may take before it is given up.
    package init(directory: String, deadlineSeconds: Int32 = 60) {
        self.directory = Path(directory.utf8)
        self.deadlineSeconds = deadlineSeconds
    }

    /// Runs one check to its end or its deadline. A check that hangs keeps its thread and its directory.
    package func run(_ check: Check) -> Outcome {
        let outcome = Answered()
        do throws(Errno) {
            let ended = try EventFD()
            let directory = directory
            let thread = try Thread(name: "check") {
                outcome.value.withLock { $0 = perform(check, in: directory) }
                ended.signal()
            }
            let number = ended.descriptor.rawValue
            guard waitReadable(number, until: Deadline(milliseconds: deadlineSeconds &* 1000)) else {
                return .failed("did not return in \(deadlineSeconds) s")
            }
            thread.join()
        } catch { return .unsupported("no thread for the check: \(name(of: error))") }
        return outcome.value.withLock { $0 }
    }
}

private final class Answered: Sendable {
    let value = Mutex<Outcome>(.failed("the check said nothing"))
}

/// The check's thread, which has nothing else to do.
private func perform(_ check: Check, in directory: Path) -> Outcome {
    if check.needs.contains(.root), let missing = Need.root.missing() { return .unsupported(missing) }
    let scratch: Scratch
    do throws(Errno) { scratch = try Scratch(in: directory) } catch {
        return .failed("no directory for the check in \(directory): \(name(of: error))")
    }
    let outcome = outcome(of: check)
    do throws(Errno) { try scratch.remove() } catch {
        if outcome == .passed { return .failed("what the check made cannot be removed: \(name(of: error))") }
    }
    return outcome
}

private func outcome(of check: Check) -> Outcome {
    for need in check.needs { if let missing = need.missing() { return .unsupported(missing) } }
    do {
        try check.body()
        return .passed
    } catch let failure as Failure {
        return .failed(failure.description)
    } catch let reason as Unsupported {
        return .unsupported(reason.description)
    } catch { return .failed("\(error)") }
}
