// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The middle of `values`, or the mean of the two in the middle; nil when there are none.
package func median(_ values: [Double]) -> Double? {
    if values.isEmpty { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The geometric mean of positive `values`, which is the one for ratios; nil when there are none.
package func geometricMean(_ values: [Double]) -> Double? {
    if values.isEmpty { return nil }
    return exp(values.reduce(0) { $0 + log($1) } / Double(values.count))
}
