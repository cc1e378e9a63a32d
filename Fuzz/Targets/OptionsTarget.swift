// SPDX-License-Identifier: Apache-2.0
import Errors
import virtiofsd

/// A command line, a word a line: it is understood, or refused in one line that a person can read.
final class OptionsTarget: FuzzTarget {
    func run(_ input: UnsafeRawBufferPointer) throws {
        // An argument cannot have a NUL.
        let words = input.split(separator: 0x0a, omittingEmptySubsequences: false)
            .map { $0.filter { $0 != 0 } }
        var answer = "none"
        do throws(StartupError) {
            switch try readCommandLine(words, cpus: 4) {
            case .answer(let text), .help(let text): answer = text
            case .serve: break
            }
        } catch {
            let text = error.description
            let isPlain =
                !text.isEmpty && text.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }
            try demand(isPlain, "a refusal that is no line: \(text.debugDescription)")
        }
        try demand(!answer.isEmpty, "an empty answer")
    }
}
