// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let identityChecks: [Check] = [
    Check("identity/link-counts", "link(2): st_nlink counts the names of a file", needs: []) {
        try store("data", in: "f")
        for number in 2...20 {
            try expect(.link("f", "g\(number)"))
            try expect("f", .links(number))
            try expect("g\(number)", .links(number), .same(try status("f")))
        }
        for number in 2...20 { try expect(.unlink("g\(number)")) }
        try expect("f", .links(1))
    },
    Check("identity/one-file-by-all-names", "link(2): data and attributes are those of the file", needs: []) {
        try store("data", in: "f")
        try expect(.link("f", "g"))
        try expect(.chmod("f", 0o604))
        try store("other data", in: "g")
        try expect("f", .mode(0o604), .size(10))
        try expect("f", holds: "other data")
        try expect(.unlink("f"))
        try expect("g", holds: "other data")
    },
    Check("identity/inode-stays", "stat(2): st_ino stays under rename, write and chmod", needs: []) {
        for kind in [Kind.regular, .directory, .symbolicLink] {
            try expect(kind.making("x", mode: 0o755))
            let before = try status("x")
            try expect(.rename("x", "y"))
            try expect("y", .same(before))
            if kind != .symbolicLink { try expect(.chmod("y", 0o700)) }
            try expect("y", .same(before))
            try expect(kind == .directory ? .rmdir("y") : .unlink("y"))
        }
    },
    Check("identity/descriptor-and-name", "fstat(2): gives what lstat(2) gives", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write("data")
        let (byName, byDescriptor) = (try status("f"), try status(of: file.number))
        try expect(byName.inode == byDescriptor.inode, "other inodes")
        try expect(byName.device == byDescriptor.device, "other devices")
        try expect(byName.size == byDescriptor.size && byName.size == 4, "other sizes")
        try expect(.rename("f", "g"))
        try expect(file.number, .same(byName), .links(1))
        file.close()
    },
    Check("identity/all-differ", "stat(2): files that are there have different st_ino", needs: []) {
        var seen: Set<UInt64> = []
        for number in 0..<200 {
            try store("", in: "f\(number)")
            seen.insert(try status("f\(number)").inode)
        }
        try expect("different inodes of 200 files", gives: 200, seen.count)
    },
    Check("identity/dots", "path_resolution(7): . and .. are the directory and its parent", needs: []) {
        try make(.directory, "d")
        try make(.directory, "d/e")
        try expect("d/e/.", .same(try status("d/e")))
        try expect("d/e/..", .same(try status("d")))
        try expect(.rename("d/e", "e"))
        try expect("e/..", .same(try status(".")))
    },
    Check("identity/blocks", "stat(2): st_blocks tells what is used, in 512 bytes", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.truncate(1 << 20)
        try file.synchronize()
        let before = try status("f").blocks
        try file.write(pattern(256 * 1024), at: 0)
        try file.synchronize()
        let after = try status("f").blocks
        try expect(before * 512 < 1 << 20, "a hole of 1 MiB uses \(before) blocks")
        try expect(after >= 512 && after > before, "256 KiB use \(after) blocks, \(before) before")
        file.close()
    },
    Check("identity/handles", "name_to_handle_at(2): a handle leads to its file, and is stale after removal")
    {
        try store("data", in: "f")
        let handle = FileHandleTrial()
        try handle.load("f")
        let parent = try OpenFile(".", O_RDONLY | O_DIRECTORY)
        let file = try handle.open(parent)
        try expect("read by handle", gives: "data", try file.readText())
        try expect(.rename("f", "g"))
        try expect("read after rename", gives: "data", try handle.open(parent).readText())
        file.close()
        try expect(.unlink("g"))
        let call = Call("open_by_handle_at of a removed file") {
            unsafe vfs_open_handle(parent.number, handle.base, O_RDONLY | O_CLOEXEC)
        }
        try expect(call, .ESTALE)
        parent.close()
    },
]

/// Room for one handle of name_to_handle_at(2).
@safe private final class FileHandleTrial: @unchecked Sendable {
    let base = UnsafeMutableRawPointer.allocate(byteCount: 136, alignment: 8)

    deinit { unsafe base.deallocate() }

    func load(_ path: Path) throws {
        var mount: Int32 = 0
        unsafe base.storeBytes(of: 128, as: UInt32.self)
        let result = unsafe path.withPointer { unsafe vfs_name_to_handle(AT_FDCWD, $0, base, &mount, 0) }
        if result != 0 {
            if errno == EOPNOTSUPP { throw Unsupported("no file handles here") }
            throw Failure("name_to_handle_at(\(path)) gave \(name(of: Errno(rawValue: errno)))")
        }
    }

    func open(_ mount: OpenFile) throws -> OpenFile {
        let number = unsafe vfs_open_handle(mount.number, base, O_RDONLY | O_CLOEXEC)
        if number < 0 {
            throw Failure("open_by_handle_at gave \(name(of: Errno(rawValue: errno))), expected success")
        }
        return OpenFile(adopting: number, "by handle")
    }
}
