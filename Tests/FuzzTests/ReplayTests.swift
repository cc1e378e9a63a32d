// SPDX-License-Identifier: Apache-2.0
import Errors
import FuzzTargets
import Glibc
import Testing

/// What the fuzzers start from and what they once found, run through the same code without libFuzzer.
@Suite struct ReplayTests {
    @Test(arguments: FuzzTargets.names) func seedsAndRegressions(_ name: String) throws {
        let target = try #require(try FuzzTargets.make(name, ownsProcess: false))
        let files = try files(in: "seeds/\(name)") + files(in: "regressions/\(name)")
        for file in files {
            do { try file.bytes.withUnsafeBytes(target.run) } catch { Issue.record("\(file.name): \(error)") }
        }
        #expect(files.count >= Seeds.of(name).count)
    }

    /// `scripts/fuzz -s` writes them.
    @Test(arguments: FuzzTargets.names) func seedsAreWhatTheyAreMadeFrom(_ name: String) throws {
        let files = try files(in: "seeds/\(name)")
        #expect(Set(files.map(\.name)) == Set(Seeds.of(name).map(\.name)))
        for seed in Seeds.of(name) {
            #expect(files.first { $0.name == seed.name }?.bytes == seed.bytes, "\(name)/\(seed.name)")
        }
    }

    private struct File {
        let name: String
        let bytes: [UInt8]
    }

    /// The files in a folder below Fuzz/, which need not be there.
    private func files(in folder: String) throws -> [File] {
        let path =
            #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/Fuzz/" + folder
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name.0) { String(cString: $0) }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return try names.sorted().map { File(name: $0, bytes: try read(path + "/" + $0)) }
    }

    private func read(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "r") else { throw Errno(rawValue: errno) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }
}
