// SPDX-License-Identifier: Apache-2.0
import FuseServer
import FuseWire
import Testing

/// One well-formed request of each kind: its bytes, what the file system must see of it and what the guest gets.
struct ValidRequest: Sendable, CustomTestStringConvertible {
    var label: String
    var bytes: [UInt8]
    /// What `RecordingFS` notes.
    var call: String
    /// The body of the reply, nil when there is no reply.
    var reply: [UInt8]?
    /// The reply is a struct, without whose room nothing is done.
    var fixedReply: Bool
    /// READ: where the body of the reply is.
    var isDirect = false

    var testDescription: String { label }
    var opcode: UInt32 { bytes.load(UInt32.self, at: 4) }

    init(
        _ label: String, _ opcode: UInt32, nodeID: UInt64 = 5, _ body: [UInt8], call: String, reply: [UInt8]?,
        fixedReply: Bool = false
    ) {
        self.label = label
        self.bytes = message(opcode, nodeID: nodeID, body)
        self.call = call
        self.reply = reply
        self.fixedReply = fixedReply
    }

    static let readBody =
        u64(7)  // fh
        + u64(4096)  // offset
        + u32(512)  // size
        + u32(2)  // read_flags: LOCKOWNER
        + u64(99)  // lock_owner
        + u32(0o100000)  // flags
        + u32(0)  // padding

    static let releaseBody =
        u64(7)  // fh
        + u32(2)  // flags
        + u32(3)  // release_flags
        + u64(99)  // lock_owner

    static let lockBody =
        u64(7)  // fh
        + u64(99)  // owner
        + u64(10)  // start
        + u64(20)  // end
        + u32(1)  // type: F_WRLCK
        + u32(77)  // pid
        + u32(1)  // lk_flags: FLOCK
        + u32(0)  // padding

    static let copyBody =
        u64(7)  // fh_in
        + u64(100)  // off_in
        + u64(6)  // nodeid_out
        + u64(8)  // fh_out
        + u64(200)  // off_out
        + u64(300)  // len
        + u64(0)  // flags

    static let createBody =
        u32(0o102)  // flags
        + u32(0o100644)  // mode
        + u32(0o022)  // umask
        + u32(1)  // open_flags: KILL_SUIDGID

    static let entry = raw(RecordingFS.entry)
    static let created = raw(RecordingFS.created)
    static let attributes = raw(RecordingFS.attributes)
    static let opened = raw(RecordingFS.opened)

    static let all: [ValidRequest] = names + attributeRequests + files + directories + locks

    static let names: [ValidRequest] = [
        ValidRequest("LOOKUP", 1, name("a"), call: "lookup #5 a", reply: entry, fixedReply: true),
        ValidRequest(
            "LOOKUP .", 1, name("."), call: "lookupSpecial #5 parent false", reply: entry, fixedReply: true),
        ValidRequest(
            "LOOKUP ..", 1, name(".."), call: "lookupSpecial #5 parent true", reply: entry, fixedReply: true),
        ValidRequest("FORGET", 2, u64(3), call: "forget #5 3", reply: nil),
        ValidRequest(
            "BATCH_FORGET", 42, nodeID: 0,
            u32(1) + u32(0)  // count, padding
                + u64(8) + u64(2),  // nodeid, nlookup
            call: "forget #8 2", reply: nil),
        ValidRequest("READLINK", 5, [], call: "readlink #5 room 4095", reply: [1, 2, 3]),
        ValidRequest(
            "SYMLINK", 6, name("a") + name("../b/"), call: "symlink #5 a -> ../b/", reply: entry,
            fixedReply: true),
        ValidRequest(
            "MKNOD", 8,
            u32(0o010644)  // mode
                + u32(259)  // rdev
                + u32(0o022)  // umask
                + u32(0)  // padding
                + name("fifo"),
            call: "mknod #5 fifo \(0o010644) 259 18", reply: entry, fixedReply: true),
        ValidRequest(
            "MKDIR", 9, u32(0o755) + u32(0o022) + name("d"), call: "mkdir #5 d 493 18", reply: entry,
            fixedReply: true),
        ValidRequest("UNLINK", 10, name("a"), call: "unlink #5 a", reply: []),
        ValidRequest("RMDIR", 11, name("d"), call: "rmdir #5 d", reply: []),
        ValidRequest(
            "RENAME", 12, u64(6) + name("a") + name("bc"), call: "rename #5 a -> #6 bc 0", reply: []),
        ValidRequest("LINK", 13, u64(9) + name("l"), call: "link #9 in #5 l", reply: entry, fixedReply: true),
        ValidRequest(
            "CREATE", 35, createBody + name("new"), call: "create #5 new 66 \(0o100644) 18 1", reply: created,
            fixedReply: true),
        ValidRequest(
            "RENAME2", 45, u64(6) + u32(2) + u32(0) + name("a") + name("b"), call: "rename #5 a -> #6 b 2",
            reply: []),
        ValidRequest(
            "TMPFILE", 51, createBody + name("/"), call: "tmpfile #5 66 \(0o100644) 18 1", reply: created,
            fixedReply: true),
    ]

    static let attributeRequests: [ValidRequest] = [
        ValidRequest(
            "GETATTR", 3, u32(0) + u32(0) + u64(7), call: "getattr #5 0", reply: attributes, fixedReply: true),
        ValidRequest(
            "GETATTR fh", 3, u32(1) + u32(0) + u64(7), call: "getattr #5 7", reply: attributes,
            fixedReply: true),
        ValidRequest(
            "SETATTR", 4,
            u32(0xfff) + u32(0)  // valid, padding
                + u64(7) + u64(8) + u64(9)  // fh, size, lock_owner
                + u64(10) + u64(11) + u64(12)  // atime, mtime, ctime
                + u32(13) + u32(14) + u32(15)  // their nanoseconds
                + u32(16) + u32(0) + u32(17) + u32(18) + u32(0),  // mode, unused, uid, gid, unused
            call: "setattr #5 4095 7 8 9 10 11 12 13 14 15 16 17 18", reply: attributes, fixedReply: true),
        ValidRequest("STATFS", 17, [], call: "statfs #5", reply: raw(RecordingFS.statfs), fixedReply: true),
        ValidRequest(
            "SETXATTR", 21,
            u32(3) + u32(1) + u32(1) + u32(0)  // size, flags, setxattr_flags, padding
                + name("user.a") + [7, 8, 9],
            call: "setxattr #5 user.a [7, 8, 9] 1 1", reply: []),
        ValidRequest(
            "GETXATTR", 22, u32(100) + u32(0) + name("user.a"), call: "getxattr #5 user.a 100 sizeOnly false",
            reply: [1, 2, 3]),
        ValidRequest(
            "GETXATTR size", 22, u32(0) + u32(0) + name("user.a"), call: "getxattr #5 user.a 0 sizeOnly true",
            reply: u32(3) + u32(0), fixedReply: true),
        ValidRequest(
            "LISTXATTR", 23, u32(100) + u32(0), call: "listxattr #5 100 sizeOnly false", reply: [1, 2, 3]),
        ValidRequest(
            "LISTXATTR size", 23, u32(0) + u32(0), call: "listxattr #5 0 sizeOnly true",
            reply: u32(3) + u32(0),
            fixedReply: true),
        ValidRequest("REMOVEXATTR", 24, name("user.a"), call: "removexattr #5 user.a", reply: []),
        ValidRequest("ACCESS", 34, u32(6) + u32(0), call: "access #5 6", reply: []),
        ValidRequest(
            "SETUPMAPPING", 48, u64(.max) + u64(1 << 21) + u64(2 << 21) + u64(3) + u64(4 << 21),
            call: "setupMapping #5 18446744073709551615 2097152 4194304 3 8388608", reply: []),
        // The entries begin at byte 4.
        ValidRequest(
            "REMOVEMAPPING", 49, u32(2) + u64(1 << 21) + u64(2 << 21) + u64(0) + u64(7),
            call: "removeMapping 2097152+4194304,0+7", reply: []),
        ValidRequest("REMOVEMAPPING of nothing", 49, u32(0), call: "removeMapping ", reply: []),
        ValidRequest("SYNCFS", 50, u64(0), call: "syncfs #5", reply: []),
        ValidRequest(
            "STATX", 52, u32(1) + u32(0) + u64(7) + u32(2) + u32(0xfff), call: "statx #5 7 2 4095",
            reply: raw(RecordingFS.statx), fixedReply: true),
    ]

    static let files: [ValidRequest] = [
        ValidRequest("OPEN", 14, u32(0o2) + u32(1), call: "open #5 2 1", reply: opened, fixedReply: true),
        read,
        ValidRequest(
            "WRITE", 16,
            u64(7)  // fh
                + u64(4096)  // offset
                + u32(5)  // size
                + u32(4)  // write_flags: KILL_SUIDGID
                + u64(99)  // lock_owner
                + u32(1)  // flags
                + u32(0)  // padding
                + text("12345"),
            call: "write #5 7 4096 5 4 99 1 data 5", reply: u32(3) + u32(0), fixedReply: true),
        ValidRequest("RELEASE", 18, releaseBody, call: "release #5 7 2 3 99", reply: []),
        ValidRequest("FSYNC", 20, u64(7) + u32(1) + u32(0), call: "fsync #5 7 1", reply: []),
        ValidRequest("FLUSH", 25, u64(7) + u32(0) + u32(0) + u64(99), call: "flush #5 7 99", reply: []),
        ValidRequest(
            "IOCTL", 39,
            u64(7)  // fh
                + u32(16)  // flags: DIR
                + u32(0x4008_6602)  // cmd
                + u64(0xabc)  // arg
                + u32(4)  // in_size
                + u32(8)  // out_size
                + [4, 3, 2, 1],
            call: "ioctl #5 7 16 \(0x4008_6602) \(0xabc) [4, 3, 2, 1] room 8",
            reply: u32(9) + zeros(12) + [1, 2, 3]),
        ValidRequest(
            "FALLOCATE", 43, u64(7) + u64(1) + u64(2) + u32(3) + u32(0), call: "fallocate #5 7 1 2 3",
            reply: []),
        ValidRequest(
            "LSEEK", 46, u64(7) + u64(1) + u32(4) + u32(0), call: "lseek #5 7 1 4", reply: u64(0x7777),
            fixedReply: true),
        ValidRequest(
            "COPY_FILE_RANGE", 47, copyBody, call: "copy #5 7 100 -> #6 8 200 300 0", reply: u32(3) + u32(0),
            fixedReply: true),
        ValidRequest(
            "COPY_FILE_RANGE_64", 53, copyBody, call: "copy #5 7 100 -> #6 8 200 300 0", reply: u64(3),
            fixedReply: true),
    ]

    static let read: ValidRequest = {
        var request = ValidRequest(
            "READ", 15, readBody, call: "read #5 7 4096 512 2 99 \(0o100000) room 512", reply: [1, 2, 3])
        request.isDirect = true
        return request
    }()

    static let directories: [ValidRequest] = [
        ValidRequest(
            "OPENDIR", 27, u32(0o200000) + u32(0), call: "opendir #5 65536 0", reply: opened, fixedReply: true
        ),
        ValidRequest("READDIR", 28, readBody, call: "readdir #5 7 4096 512 room 512", reply: [1, 2, 3]),
        ValidRequest("RELEASEDIR", 29, releaseBody, call: "releasedir #5 7 2 3 99", reply: []),
        ValidRequest("FSYNCDIR", 30, u64(7) + u32(1) + u32(0), call: "fsyncdir #5 7 1", reply: []),
        ValidRequest(
            "READDIRPLUS", 44, readBody, call: "readdirplus #5 7 4096 512 room 512", reply: [1, 2, 3]),
    ]

    static let locks: [ValidRequest] = [
        ValidRequest(
            "GETLK", 31, lockBody, call: "getlk #5 7 99 10 20 1 77 1",
            reply: u64(10) + u64(20) + u32(1) + u32(77), fixedReply: true),
        ValidRequest("SETLK", 32, lockBody, call: "setlk #5 7 99 10 20 1 77 1 wait false", reply: []),
        ValidRequest("SETLKW", 33, lockBody, call: "setlk #5 7 99 10 20 1 77 1 wait true", reply: []),
        ValidRequest("INTERRUPT", 36, nodeID: 0, u64(42), call: "interrupt 42", reply: nil),
    ]
}
