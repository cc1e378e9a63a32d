// SPDX-License-Identifier: Apache-2.0

/// Rewrites the two spellings of virtiofsd that the option parser has no notion of:
/// - an option whose value may be left out: `--posix-acl` is `--posix-acl=always`;
/// - a list glued to its letter: `-osource=/x` is `-o source=/x`.
func spelledOut(_ arguments: [String]) -> [String] {
    var result: [String] = []
    for (index, argument) in arguments.enumerated() {
        if argument == "--" { return result + arguments[index...] }
        if argument == "--posix-acl" || argument == "--security-label" {
            result.append(argument + "=always")
        } else if argument.hasPrefix("-o"), argument.utf8.count > 2, result.last != "-o" {
            result += ["-o", String(argument.dropFirst(2))]
        } else {
            result.append(argument)
        }
    }
    return result
}
