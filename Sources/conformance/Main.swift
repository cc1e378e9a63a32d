// SPDX-License-Identifier: Apache-2.0
import Conformance
import Glibc

@main enum Main {
    nonisolated static func main() { exit(runConformance(Array(CommandLine.arguments.dropFirst()))) }
}
