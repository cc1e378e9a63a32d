// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

private let tablePath = getenv("VFS_HOSTILE_TABLE").map { String(cString: $0) }

/// scripts/compare-hostile: the same cases on our daemon and on the Rust one, into a table. Only ours can fail the test.
@Suite struct ComparisonTests {
    @Test(arguments: tablePath.map { [$0] } ?? []) func table(_ path: String) throws {
        try #require(requirementsMet("ComparisonTests", .root, .lab))
        let opponents =
            Opponent.ours
            + Opponent.rust.filter { opponent in
                // A mode that does not work on this machine has no column.
                do {
                    try HostileRig(opponent).start()
                    return true
                } catch {
                    print("\(opponent) does not start here: \(error)")
                    return false
                }
            }
        var rows: [String] = []
        for attack in HostileCase.all {
            var cells: [String] = []
            for opponent in opponents {
                let verdict = attack.run(opponent)
                cells.append(Self.cell(verdict))
                if opponent.daemon == .ours {
                    #expect(verdict.failures.isEmpty, "\(attack.name): \(verdict.failures)")
                }
            }
            rows.append("| \(attack.name) | \(attack.title) | \(cells.joined(separator: " | ")) |")
        }
        let names = opponents.map {
            "\($0.daemon == .ours ? "virtiofsd of this project" : "virtiofsd 1.14 (Rust)"), `--sandbox \($0.mode)`"
        }
        let head = [
            "| | what must hold | \(names.joined(separator: " | ")) |",
            "|---|---|\(names.map { _ in "---" }.joined(separator: "|"))|",
        ]
        let file = OwnedDescriptor(
            adopting: try systemCall { open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o644) })
        try Files.writeAll(file.rawValue, Array((head + rows).joined(separator: "\n").utf8) + [0x0a])
    }

    private static func cell(_ verdict: Verdict) -> String {
        let shown = 4
        var parts = [verdict.failures.isEmpty ? "holds" : "**fails**"]
        parts += verdict.failures.prefix(shown)
        if verdict.failures.count > shown { parts.append("and \(verdict.failures.count - shown) more") }
        parts += verdict.notes
        return parts.joined(separator: "; ").replacing("|", with: "\\|").replacing("\n", with: " ")
    }
}
