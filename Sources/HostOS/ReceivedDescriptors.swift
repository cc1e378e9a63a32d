// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The descriptors that came with a message, in order; those that nobody takes are closed with it.
package struct ReceivedDescriptors: ~Copyable, Sendable {
    private var numbers: [Int32] = []

    /// None.
    package init() {}

    /// Takes over every one of `numbers`.
    package init(adopting numbers: [Int32]) { self.numbers = numbers }

    deinit { for number in numbers { _ = close(number) } }

    package var count: Int { numbers.count }

    mutating func adopt(_ more: some Sequence<Int32>) { numbers.append(contentsOf: more) }

    /// The next one in the order of the message, owned by the caller from now on; nil when there is none left.
    package mutating func takeFirst() -> OwnedDescriptor? {
        numbers.isEmpty ? nil : OwnedDescriptor(adopting: numbers.removeFirst())
    }
}
