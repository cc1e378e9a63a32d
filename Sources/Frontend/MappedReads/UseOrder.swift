// SPDX-License-Identifier: Apache-2.0

/// Numbers below a bound in the order of their last use: a linked list in two arrays.
struct UseOrder {
    private var newer: [Int]
    private var older: [Int]
    private(set) var oldest = -1
    private(set) var newest = -1

    init(count: Int) {
        newer = [Int](repeating: -1, count: count)
        older = newer
    }

    /// The one that was used next after `number`; −1 when it is the newest.
    func next(after number: Int) -> Int { newer[number] }

    /// Adds a number that is not in the list.
    mutating func append(_ number: Int) {
        older[number] = newest
        newer[number] = -1
        if newest >= 0 { newer[newest] = number } else { oldest = number }
        newest = number
    }

    /// Takes out a number that is in the list.
    mutating func remove(_ number: Int) {
        let (before, after) = (older[number], newer[number])
        if before >= 0 { newer[before] = after } else { oldest = after }
        if after >= 0 { older[after] = before } else { newest = before }
        (older[number], newer[number]) = (-1, -1)
    }

    /// A number of the list has been used.
    mutating func touch(_ number: Int) {
        if number == newest { return }
        remove(number)
        append(number)
    }
}
