// SPDX-License-Identifier: Apache-2.0
import Conformance
import Testing

/// The list of checks, and the program that runs it.
@Suite struct CatalogueTests {
    @Test func namesAreStableWords() {
        // Capitals for the names of flags and calls: openflags/O_PATH.
        let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        var seen: Set<String> = []
        for check in Catalogue.all {
            #expect(seen.insert(check.name).inserted, "\(check.name) is there twice")
            let parts = check.name.split(separator: "/", omittingEmptySubsequences: false)
            #expect(parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(letters.contains) })
            #expect(!check.statement.isEmpty)
        }
    }

    /// The behaviour areas that pjdfstest is divided into.
    @Test(arguments: [
        "chmod", "chown", "ftruncate", "granular", "link", "mkdir", "mkfifo", "mknod", "open",
        "posix_fallocate",
        "rename", "rmdir", "symlink", "truncate", "unlink", "utimensat",
    ]) func everyAreaIsCovered(_ area: String) {
        #expect(Catalogue.checks(matching: [area]).count >= 8)
    }

    @Test func patterns() {
        #expect(Catalogue.checks(matching: []).count == Catalogue.all.count)
        #expect(Catalogue.checks(matching: ["rename/onto-itself"]).map(\.name) == ["rename/onto-itself"])
        let some = Catalogue.checks(matching: ["*/name-length", "granular"]).map(\.area)
        #expect(Set(some).isSuperset(of: ["chmod", "unlink", "granular"]) && !some.contains("ftruncate"))
        #expect(Catalogue.checks(matching: ["rena"]).isEmpty)
    }

    @Test func options() throws {
        let options = try #require(Options(["--json", "--only", "a", "--only", "b", "/d"]))
        #expect(options.json && !options.list && options.patterns == ["a", "b"] && options.directory == "/d")
        for bad in [[], ["--only"], ["--what", "/d"], ["/d", "/e"], ["--only", "a"]] {
            #expect(Options(bad) == nil)
        }
        #expect(Options(["--list"]) != nil)
    }

    @Test func exitStatus() {
        #expect(runConformance(["--list", "--only", "unlink"]) == 0)
        #expect(runConformance(["--only", "mkdir/dots", "/dev/shm"]) == 0)
        #expect(runConformance(["--only", "mkdir/dots", "--json", "/proc"]) == 1)
        #expect(runConformance([]) == 2)
        #expect(runConformance(["--only", "nothing-like-it", "/dev/shm"]) == 2)
        #expect(runConformance(["/dev/null"]) == 2)
    }

    @Test func report() {
        let check = Check("a/b", "…") {}
        var report = Report()
        #expect(report.add(check, .passed) == "passed       a/b")
        #expect(!report.hasFailures)
        #expect(report.add(check, .unsupported("none")) == "unsupported  a/b: none")
        #expect(!report.hasFailures)
        #expect(report.add(check, .failed("why")) == "FAILED       a/b: why")
        #expect(report.hasFailures)
        #expect(report.summary == "3 checks: 1 passed, 1 failed, 1 unsupported")
        #expect(Report.json(check, .passed) == #"{"name":"a/b","outcome":"passed"}"#)
        #expect(
            Report.json(check, .failed("\"\\\n"))
                == #"{"name":"a/b","outcome":"failed","reason":"\"\\\u000a"}"#)
    }
}
