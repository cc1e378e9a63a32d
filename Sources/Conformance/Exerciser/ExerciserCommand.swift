// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// `conformance fsx`; returns the exit status.
package func runExerciser(_ arguments: [String]) -> Int32 {
    guard let options = ExerciserOptions(arguments) else {
        print(ExerciserOptions.usage)
        return 2
    }
    if let process = options.process { return exercise(options, process: process) }
    do throws(Errno) { return try startProcesses(options) } catch {
        print("conformance: fsx in \(options.directory): \(describe(error))")
        return 2
    }
}

/// One of the processes. Its last line is the number of operations.
private func exercise(_ options: ExerciserOptions, process: Int) -> Int32 {
    var own = FileExerciser.Options(
        directory: options.directory, referenceDirectory: options.referenceDirectory, name: options.fileName,
        seed: options.seed &+ UInt64(process))
    own.stripe = options.stripe(of: process)
    let exerciser: FileExerciser
    do throws(Errno) { exerciser = try FileExerciser(own) } catch {
        print("process \(process): cannot begin in \(options.directory): \(describe(error))")
        return 2
    }
    let deadline = Deadline(milliseconds: options.seconds &* 1000)
    do throws(FileDifference) {
        while exerciser.operationCount < options.operations ?? .max && !deadline.hasPassed {
            try exerciser.step()
        }
        try exerciser.compareAll()
    } catch {
        print("\(error)\n\(exerciser.operationCount)")
        return 1
    }
    exerciser.remove(keepingSubject: options.sharesFile)
    let missing = exerciser.missing.map(\.rawValue).sorted().joined(separator: ", ")
    if process == 0 && !missing.isEmpty { print("not supported here: \(missing)") }
    print("\(exerciser.operationCount)")
    return 0
}

/// Starts the processes, waits for all of them, and says what they found.
private func startProcesses(_ options: ExerciserOptions) throws(Errno) -> Int32 {
    let names = (0..<options.processes).map { "fsx.\(getpid()).\(options.sharesFile ? "shared" : "\($0)")" }
    let sharedFile = "\(options.directory)/\(names[0])"
    if options.sharesFile {
        let file = OwnedDescriptor(
            adopting: try systemCall { () -> Int32 in
                unsafe open(sharedFile, O_RDWR | O_CREAT | O_EXCL, 0o644)
            })
        let size = options.stripe(of: options.processes - 1)?.upperBound ?? 0
        _ = try systemCall { ftruncate(file.rawValue, size) }
    }
    let program = try Files.ownProgram()
    var running: [(output: Int32, process: ChildProcess)] = []
    defer { for one in running { _ = close(one.output) } }
    for (index, name) in names.enumerated() {
        let output = try makeMemoryFile(name: "output", byteCount: 0)
        let child = try ChildProcess(
            program: program, arguments: options.arguments(of: index, file: name),
            descriptors: [STDIN_FILENO, output.rawValue, output.rawValue])
        running.append((output.release(), child))
    }
    var operations = 0
    var status: Int32 = 0
    for (index, one) in running.enumerated() {
        let end = one.process.wait()
        var lines = try Files.readAllFromStart(one.output).split(separator: UInt8(ascii: "\n"))
            .map { String(decoding: $0, as: UTF8.self) }
        let count = lines.popLast().flatMap { Int($0) }
        operations += count ?? 0
        for line in lines { print(line) }
        if end == .exited(0) { continue }
        status = max(status, 1)
        print("process \(index) of seed \(options.seed &+ UInt64(index)): \(end.map { "\($0)" } ?? "no end")")
    }
    if status == 0 && options.sharesFile { _ = unsafe unlink(sharedFile) }
    let found = status == 0 ? "no difference" : "DIFFERENT"
    print("fsx: \(options.processes) processes, \(operations) operations: \(found)")
    return status
}
