// SPDX-License-Identifier: Apache-2.0
import Glibc

extension Report {
    /// Our ratios to the best peer as a picture: a bar for each test and depth from 1 to the ratio, on a logarithmic scale.
    package var plotText: String {
        let bars = tests.compactMap { test in test.ratio.map { (test: test, ratio: $0) } }
        let (left, right, top, step) = (150.0, 60.0, 50.0, 18.0)
        let width = 480.0
        let height = top + step * Double(bars.count) + 30
        // Powers of two that hold all bars, at least from a half to two.
        let low = min(-1, bars.map { log2($0.ratio).rounded(.down) }.min() ?? -1)
        let high = max(1, bars.map { log2($0.ratio).rounded(.up) }.max() ?? 1)
        func x(_ ratio: Double) -> Double { left + (log2(ratio) - low) / (high - low) * width }

        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(fixed(left + width + right, 0))\""
                + " height=\"\(fixed(height, 0))\" font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
            "<text x=\"10\" y=\"20\" font-size=\"14\">ops/s by those of the best peer (right of 1: ours is faster)</text>",
        ]
        for power in Int(low)...Int(high) {
            let ratio = exp2(Double(power))
            let place = fixed(x(ratio), 1)
            lines.append(
                "<line x1=\"\(place)\" y1=\"\(fixed(top - 8, 1))\" x2=\"\(place)\" y2=\"\(fixed(height - 25, 1))\""
                    + " stroke=\"\(power == 0 ? "black" : "#ccc")\"/>")
            lines.append(
                "<text x=\"\(place)\" y=\"\(fixed(height - 10, 1))\" text-anchor=\"middle\">"
                    + "\(fixed(ratio, power < 0 ? min(3, -power) : 0))</text>")
        }
        for (index, bar) in bars.enumerated() {
            let y = top + step * Double(index)
            let (from, to) = (min(x(1), x(bar.ratio)), max(x(1), x(bar.ratio)))
            lines.append(
                "<text x=\"\(fixed(left - 8, 1))\" y=\"\(fixed(y + 11, 1))\" text-anchor=\"end\">"
                    + "\(bar.test.test), depth \(bar.test.depth)</text>")
            lines.append(
                "<rect x=\"\(fixed(from, 1))\" y=\"\(fixed(y, 1))\" width=\"\(fixed(max(1, to - from), 1))\""
                    + " height=\"14\" fill=\"\(bar.ratio < 1 ? "#c0504d" : "#4f81bd")\"/>")
            lines.append(
                "<text x=\"\(fixed(to + 5, 1))\" y=\"\(fixed(y + 11, 1))\">\(fixed(bar.ratio, 2))</text>")
        }
        lines.append("</svg>")
        return lines.joined(separator: "\n") + "\n"
    }
}
