// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Frontend

@Suite struct UseOrderTests {
    private func all(_ order: UseOrder) -> [Int] {
        Array(sequence(first: order.oldest) { order.next(after: $0) }.prefix { $0 >= 0 })
    }

    @Test func order() {
        var order = UseOrder(count: 5)
        #expect(all(order) == [] && order.newest == -1)
        for number in [3, 1, 4] { order.append(number) }
        #expect(all(order) == [3, 1, 4])
        order.touch(4)
        #expect(all(order) == [3, 1, 4])
        order.touch(3)
        #expect(all(order) == [1, 4, 3])
        order.touch(4)
        #expect(all(order) == [1, 3, 4])
        order.remove(3)
        #expect(all(order) == [1, 4])
        order.remove(4)
        order.remove(1)
        #expect(all(order) == [] && order.newest == -1)
        order.append(0)
        #expect(all(order) == [0] && order.newest == 0)
    }
}
