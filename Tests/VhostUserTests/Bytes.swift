// SPDX-License-Identifier: Apache-2.0
import MessageTools

func header(_ request: UInt32, _ flags: UInt32, _ size: Int) -> [UInt8] {
    le32(request) + le32(flags) + le32(UInt32(size))
}
