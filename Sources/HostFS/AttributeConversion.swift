// SPDX-License-Identifier: Apache-2.0
import CLinux
import FuseWire
import HostOS

extension Attributes {
    @inline(__always)
    init(_ status: FileStatus) {
        self.init()
        let raw = status.raw
        ino = raw.stx_ino
        size = raw.stx_size
        blocks = raw.stx_blocks
        atime = UInt64(bitPattern: raw.stx_atime.tv_sec)
        mtime = UInt64(bitPattern: raw.stx_mtime.tv_sec)
        ctime = UInt64(bitPattern: raw.stx_ctime.tv_sec)
        atimensec = raw.stx_atime.tv_nsec
        mtimensec = raw.stx_mtime.tv_nsec
        ctimensec = raw.stx_ctime.tv_nsec
        mode = UInt32(raw.stx_mode)
        nlink = raw.stx_nlink
        uid = raw.stx_uid
        gid = raw.stx_gid
        // The kernel's 32-bit encoding of a device number (new_encode_dev).
        let minor = raw.stx_rdev_minor
        rdev = minor & 0xff | (raw.stx_rdev_major & 0xfff) << 8 | (minor & 0xfff00) << 12
        blksize = raw.stx_blksize
    }
}

extension StatxTime {
    init(_ time: statx_timestamp) {
        self.init()
        sec = time.tv_sec
        nsec = time.tv_nsec
    }
}

extension StatxAttributes {
    init(_ status: FileStatus) {
        self.init()
        let raw = status.raw
        // Only the bits whose fields travel: the basic ones and the birth time.
        mask = raw.stx_mask & (UInt32(STATX_BASIC_STATS) | UInt32(STATX_BTIME))
        blksize = raw.stx_blksize
        attributes = raw.stx_attributes
        attributesMask = raw.stx_attributes_mask
        nlink = raw.stx_nlink
        uid = raw.stx_uid
        gid = raw.stx_gid
        mode = raw.stx_mode
        ino = raw.stx_ino
        size = raw.stx_size
        blocks = raw.stx_blocks
        atime = StatxTime(raw.stx_atime)
        btime = StatxTime(raw.stx_btime)
        ctime = StatxTime(raw.stx_ctime)
        mtime = StatxTime(raw.stx_mtime)
        rdevMajor = raw.stx_rdev_major
        rdevMinor = raw.stx_rdev_minor
        devMajor = raw.stx_dev_major
        devMinor = raw.stx_dev_minor
    }
}
