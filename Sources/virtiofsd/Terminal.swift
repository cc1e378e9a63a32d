// SPDX-License-Identifier: Apache-2.0
import Glibc
import HostOS

/// The words of our command line without the program's name, as the bytes they are.
func commandLineWords() -> [[UInt8]] {
    var words: [[UInt8]] = []
    for index in 1..<max(1, Int(CommandLine.argc)) {
        // SAFETY: the kernel hands over argc NUL-terminated strings that nobody changes or frees.
        guard let word = unsafe CommandLine.unsafeArgv[index] else { break }
        let bytes = unsafe UnsafeRawBufferPointer(start: word, count: strlen(word))
        words.append(unsafe Array(bytes))
    }
    return words
}

/// Writes `line` and a newline in one piece, so that lines of several threads do not mix. A failure is nobody's to hear.
func say(_ line: String, to descriptor: Int32) {
    try? Files.writeAll(descriptor, Array((line + "\n").utf8))
}
