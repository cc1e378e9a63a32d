// SPDX-License-Identifier: Apache-2.0
// Golden bytes are built with these instead of the codec under test.

package func le16(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8)] }
package func le32(_ value: UInt32) -> [UInt8] {
    le16(UInt16(value & 0xffff)) + le16(UInt16(value >> 16))
}
package func le64(_ value: UInt64) -> [UInt8] {
    le32(UInt32(value & 0xffff_ffff)) + le32(UInt32(value >> 32))
}
package func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
