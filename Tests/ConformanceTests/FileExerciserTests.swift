// SPDX-License-Identifier: Apache-2.0
import Conformance
import Errors
import Glibc
import HostOS
import Testing

/// The exerciser on local file systems: there it finds nothing, unless somebody spoils the file.
@Suite struct FileExerciserTests {
    private static let places = ["/dev/shm", "/var/tmp"]

    /// Both files lie in `directory`.
    private func options(_ directory: TemporaryDirectory, seed: UInt64) throws -> FileExerciser.Options {
        try Files.makeDirectories("\(directory.path)/local")
        return FileExerciser.Options(
            directory: directory.path, referenceDirectory: "\(directory.path)/local", name: "file", seed: seed
        )
    }

    private func directory(_ place: String) throws -> TemporaryDirectory {
        try TemporaryDirectory(prefix: "exerciser-", in: place)
    }

    @Test(arguments: places, [1, 2, 3]) func findsNoDifferenceOnALocalFileSystem(place: String, seed: UInt64)
        throws
    {
        let directory = try directory(place)
        let exerciser = try FileExerciser(try options(directory, seed: seed))
        for _ in 0..<1500 { try exerciser.step() }
        try exerciser.compareAll()
        exerciser.remove(keepingSubject: false)
        #expect(try Files.names(in: directory.path) == ["local"])
        #expect(try Files.names(in: "\(directory.path)/local") == [])
    }

    @Test func sameSeedSameOperations() throws {
        func operations(_ seed: UInt64) throws -> [FileOperation] {
            let directory = try directory("/dev/shm")
            let exerciser = try FileExerciser(try options(directory, seed: seed))
            for _ in 0..<60 { try exerciser.step() }
            return exerciser.lastOperations
        }
        let first = try operations(7)
        #expect(first.count == 20)
        #expect(try operations(7) == first)
        #expect(try operations(8) != first)
    }

    /// The first bytes are changed behind the exerciser's back.
    @Test(arguments: ["file", "local/file.5"]) func findsBytesThatWereChanged(name: String) throws {
        let (difference, _) = try spoiled(name) { path, size in
            let file = OwnedDescriptor(adopting: try systemCall { open(path, O_RDWR) })
            let spoiled = [UInt8](repeating: 0xA5, count: 64)
            _ = try systemCall { pwrite(file.rawValue, spoiled, min(64, size), 0) }
        }
        #expect(difference.path.hasSuffix("/\(name)"))
        #expect(difference.offset != nil && difference.expected != difference.seen)
        #expect(difference.seen.contains(0xA5) && difference.seed == 5)
        let text = "\(difference)"
        #expect(text.contains("operation \(difference.operationNumber) of seed 5: wrong bytes"))
        #expect(text.contains("seen     a5") && text.contains(difference.lastOperations[0].description))
    }

    @Test func findsALostWrite() throws {
        let (difference, directory) = try spoiled("file") { path, size in
            _ = try systemCall { truncate(path, size - 1) }
        }
        #expect(difference.what.contains(", not ") || difference.what.contains("wrong bytes"))
        #expect(difference.path.hasSuffix("/file"))
        #expect(difference.referencePath == "\(directory.path)/local/file.5.expected")
        #expect(try Files.read(difference.referencePath).count <= FileExerciser.limit)
    }

    /// Two exercisers of one file keep out of each other's part.
    @Test(arguments: places) func sharesAFile(place: String) throws {
        let directory = try directory(place)
        let path = "\(directory.path)/file"
        let file = OwnedDescriptor(adopting: try systemCall { open(path, O_RDWR | O_CREAT, 0o644) })
        let half = FileExerciser.limit
        _ = try systemCall { ftruncate(file.rawValue, 2 * half) }
        var first = try options(directory, seed: 11)
        first.stripe = 0..<half
        var second = try options(directory, seed: 12)
        second.stripe = half..<2 * half
        let exercisers = [try FileExerciser(first), try FileExerciser(second)]
        for _ in 0..<400 { for one in exercisers { try one.step() } }
        for one in exercisers {
            try one.compareAll()
            one.remove(keepingSubject: true)
        }
        #expect(try Files.read(path).count == 2 * half)
        #expect(try Files.names(in: directory.path).sorted() == ["file", "local"])
    }

    @Test func commandLine() throws {
        let words = "--seconds 600 --seed 7 --processes 3 --operations 9 --shared --reference /r /d"
        let options = try #require(ExerciserOptions(words.split(separator: " ").map(String.init)))
        #expect(options.seconds == 600 && options.seed == 7 && options.processes == 3)
        #expect(options.operations == 9 && options.sharesFile && options.referenceDirectory == "/r")
        #expect(options.directory == "/d" && options.process == nil)
        #expect(options.stripe(of: 2)?.count == FileExerciser.limit)
        let child = try #require(ExerciserOptions(Array(options.arguments(of: 2, file: "f").dropFirst())))
        var expected = options
        expected.process = 2
        expected.fileName = "f"
        #expect(child == expected)
        for bad in [
            [], ["--seconds"], ["--seconds", "0", "/d"], ["--x", "/d"], ["/d", "/e"], ["--seed", "-1", "/d"],
        ] {
            #expect(ExerciserOptions(bad) == nil)
        }
    }

    /// Lets an exerciser of seed 5 run until its file `name` has contents, spoils that, and runs on until it is noticed.
    private func spoiled(_ name: String, _ spoil: (String, Int) throws -> Void) throws -> (
        FileDifference, TemporaryDirectory
    ) {
        let directory = try directory("/dev/shm")
        let exerciser = try FileExerciser(try options(directory, seed: 5))
        let path = "\(directory.path)/\(name)"
        var status = stat()
        for _ in 0..<500 {
            try exerciser.step()
            if stat(path, &status) == 0 && status.st_size > 64 && exerciser.operationCount > 50 { break }
        }
        try spoil(path, Int(status.st_size))
        let difference = try #require(
            #expect(throws: FileDifference.self) { for _ in 0..<500 { try exerciser.step() } })
        return (difference, directory)
    }
}
