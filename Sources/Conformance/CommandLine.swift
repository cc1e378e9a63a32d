// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What `conformance` was asked for.
package struct Options: Equatable {
    package var list = false
    package var json = false
    package var patterns: [String] = []
    package var directory: String?

    package static let usage = """
        Usage: conformance [--list] [--only PATTERN]... [--json] DIR
        Runs named POSIX checks in DIR, each in a fresh directory below it.
          --list          print each check's name and what it shows; run nothing
          --only PATTERN  an area (rename), a name (rename/onto-itself) or a glob (rename/*-directory)
          --json          one JSON object for each check instead of text
        Exit status: 0 all passed or unsupported, 1 failures, 2 bad usage.
        `conformance fsx` does random operations on files instead: see `conformance fsx --help`. `conformance views` compares
        several mounts of one directory.
        """

    /// - Returns: nil for a command line that means nothing.
    package init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--list": list = true
            case "--json": json = true
            case "--only":
                guard let pattern = rest.popFirst() else { return nil }
                patterns.append(pattern)
            default:
                if argument.hasPrefix("-") || directory != nil { return nil }
                directory = argument
            }
        }
        if !list && directory == nil { return nil }
    }
}

/// Does what the command line says; returns the exit status.
package func runConformance(_ arguments: [String]) -> Int32 {
    if arguments.first == "fsx" { return runExerciser(Array(arguments.dropFirst())) }
    if arguments.first == "views" { return runViews(Array(arguments.dropFirst())) }
    guard let options = Options(arguments) else {
        print(Options.usage)
        return 2
    }
    let checks = Catalogue.checks(matching: options.patterns)
    if checks.isEmpty {
        print("conformance: no check matches \(options.patterns.joined(separator: " "))")
        return 2
    }
    guard !options.list, let directory = options.directory.flatMap(resolved) else {
        if options.list { for check in checks { print("\(check.name)  \(check.statement)") } }
        if !options.list { print("conformance: \(options.directory ?? "") is not a directory") }
        return options.list ? 0 : 2
    }
    let runner = Runner(directory: directory)
    var report = Report()
    for check in checks {
        let outcome = runner.run(check)
        let line = report.add(check, outcome)
        print(options.json ? Report.json(check, outcome) : line)
        _ = fflush(nil)
    }
    if !options.json { print(report.summary) }
    return report.hasFailures ? 1 : 0
}

/// The absolute path of a directory.
private func resolved(_ path: String) -> String? {
    var status = stat()
    guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
    guard let text = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
}
