// SPDX-License-Identifier: Apache-2.0

/// `value` with `digits` digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let number = Int((abs(value) * Double(scale)).rounded())
    let sign = value < 0 && number > 0 ? "-" : ""
    if digits == 0 { return sign + String(number) }
    let fraction = String(number % scale)
    return sign + String(number / scale) + "." + String(repeating: "0", count: digits - fraction.count)
        + fraction
}

/// `value` with about three digits.
func significant(_ value: Double) -> String { fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0) }

/// Nanoseconds as people read them.
func duration(_ nanoseconds: Double) -> String {
    if nanoseconds < 999_500 { return significant(nanoseconds / 1e3) + " µs" }
    if nanoseconds < 999_500_000 { return significant(nanoseconds / 1e6) + " ms" }
    return significant(nanoseconds / 1e9) + " s"
}
