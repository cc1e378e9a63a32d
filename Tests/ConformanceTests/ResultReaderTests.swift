// SPDX-License-Identifier: Apache-2.0
import Conformance
import Testing

@Suite struct ResultReaderTests {
    @Test func readsWhatTheReportWrites() {
        func check(_ name: String) -> Check { Check(name, "a statement") {} }
        let lines = [
            Report.json(check("a/b"), .passed),
            Report.json(check("a/c"), .failed(#"open("x") gave \xff"#)),
            Report.json(check("a/d"), .unsupported("nothing")),
            "Fatal error",
        ]
        let results = ConformanceResults(lines.joined(separator: "\n") + "\n")
        #expect(results.passed == ["a/b"] && results.unsupported == ["a/d": "nothing"])
        #expect(results.failed == ["a/c": #"open("x") gave \xff"#])
        #expect(results.rest == ["Fatal error"] && results.count == 3)
    }
}
