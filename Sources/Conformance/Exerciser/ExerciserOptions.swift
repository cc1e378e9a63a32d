// SPDX-License-Identifier: Apache-2.0
import HostOS

/// What `conformance fsx` was asked for.
package struct ExerciserOptions: Equatable, Sendable {
    package var directory = ""
    package var referenceDirectory = environmentVariable("TMPDIR") ?? "/tmp"
    package var seconds: Int32 = 10
    package var seed: UInt64 = 1
    package var processes = 4
    /// Of each process; nil: as many as the time allows.
    package var operations: Int?
    /// All processes work on one file, each on a part of its own.
    package var sharesFile = false
    /// Which of the processes this is, and its file: given by the program to itself.
    package var process: Int?
    package var fileName = ""

    package static let usage = """
        Usage: conformance fsx [--seconds N] [--seed S] [--processes N] [--operations N] [--shared] [--reference DIR] DIR
        Does random operations on files in DIR and compares them with local files after each.
          --seconds N     how long (10)
          --seed S        of the first process; the next one has the next number (1)
          --processes N   how many at once (4)
          --operations N  end after so many of each process
          --shared        all on one file, each in a part of its own
          --reference DIR where the local files are (/tmp)
        Exit status: 0 no difference, 1 a difference, 2 bad usage.
        """

    package init() {}

    /// - Returns: nil for a command line that means nothing.
    package init?(_ arguments: [String]) {
        var rest = arguments[...]
        func number<Number: FixedWidthInteger>(_ least: Number) -> Number? {
            rest.popFirst().flatMap { Number($0) }.flatMap { $0 >= least ? $0 : nil }
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--shared": sharesFile = true
            case "--seconds":
                guard let value = number(1 as Int32), value < 1_000_000 else { return nil }
                seconds = value
            case "--seed":
                guard let value = number(0 as UInt64) else { return nil }
                seed = value
            case "--processes":
                guard let value = number(1), value <= 64 else { return nil }
                processes = value
            case "--operations":
                guard let value = number(1) else { return nil }
                operations = value
            case "--process":
                guard let value = number(0) else { return nil }
                process = value
            case "--reference", "--file":
                guard let value = rest.popFirst() else { return nil }
                if argument == "--file" { fileName = value } else { referenceDirectory = value }
            default:
                if argument.hasPrefix("-") || !directory.isEmpty { return nil }
                directory = argument
            }
        }
        if directory.isEmpty { return nil }
    }

    /// The part of the shared file that belongs to a process.
    package func stripe(of process: Int) -> Range<Int>? {
        let length = FileExerciser.limit
        return sharesFile ? process * length..<(process + 1) * length : nil
    }

    /// The command line of one of the processes.
    package func arguments(of process: Int, file: String) -> [String] {
        ["fsx", "--process", "\(process)", "--file", file, "--seconds", "\(seconds)", "--seed", "\(seed)"]
            + ["--processes", "\(processes)"]
            + (operations.map { ["--operations", "\($0)"] } ?? []) + (sharesFile ? ["--shared"] : [])
            + ["--reference", referenceDirectory, directory]
    }
}
