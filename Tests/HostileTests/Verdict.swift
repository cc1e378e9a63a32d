// SPDX-License-Identifier: Apache-2.0
import Errors

/// What came of one case: everything that should not have been, in words for a table.
final class Verdict {
    /// Whether a refusal has to have the right error; otherwise another one is worth a note.
    private let isStrict: Bool
    private(set) var failures: [String] = []
    /// What a reader should know though it is no failure.
    private(set) var notes: [String] = []

    init(isStrict: Bool) { self.isStrict = isStrict }

    /// - Parameter isGrave: to be said before the others.
    func fail(_ what: String, isGrave: Bool = false) {
        if failures.contains(what) { return }
        failures.insert(what, at: isGrave ? 0 : failures.endIndex)
    }
    func note(_ what: String) { if !notes.contains(what) { notes.append(what) } }

    /// Does not hold: `what` is the matter.
    func expect(_ condition: Bool, else what: @autoclosure () -> String) {
        if !condition { fail(what()) }
    }

    /// `what` must be refused, with one of `errors` if there are any.
    func expectRefusal<T>(of what: String, _ errors: Errno..., by attempt: () throws -> T) {
        do {
            _ = try attempt()
            fail("\(what) is allowed")
        } catch let error as Errno {
            if error.meansDeath { return fail("\(what) ends the daemon") }
            if errors.isEmpty || errors.contains(error) { return }
            if isStrict {
                fail("\(what): errno \(error.rawValue)")
            } else {
                note("refuses some with other errors")
            }
        } catch {
            fail("\(what): \(error)")
        }
    }

    /// `what` must work.
    @discardableResult
    func expectSuccess<T>(of what: String, _ attempt: () throws -> T) -> T? {
        do { return try attempt() } catch let error as Errno {
            fail(error.meansDeath ? "\(what) ends the daemon" : "\(what) fails with errno \(error.rawValue)")
        } catch {
            fail("\(what): \(error)")
        }
        return nil
    }
}

extension Error {
    /// As an `Errno`: what a front-end's wait ends with when the daemon has gone, or has given up the queue.
    var meansDeath: Bool {
        let number = self as? Errno
        return number == .ECONNRESET || number == .EPIPE
    }
}
