// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

private let page = 4096

let mappingChecks: [Check] = [
    Check("mapping/read-sees-stores", "mmap(2): read(2) gives what was stored in a shared mapping", needs: [])
    {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(2 * page))
        let map = try MappedFile(file, count: 2 * page)
        map.store(Array("stored".utf8), at: page - 3)
        try expect("read", gives: "stored", try file.readText(6, at: page - 3))
        let other = try OpenFile("f", O_RDONLY)
        try expect("read by another opener", gives: "stored", try other.readText(6, at: page - 3))
        file.close()
        other.close()
    },
    Check("mapping/stores-see-writes", "mmap(2): a shared mapping shows what write(2) wrote", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(2 * page))
        let map = try MappedFile(file, count: 2 * page)
        try expect(map.bytes(0..<2 * page) == pattern(2 * page), "the mapping shows other bytes")
        let other = try OpenFile("f", O_WRONLY)
        try other.write("written", at: page - 3)
        try expect("the mapping", gives: Array("written".utf8), map.bytes(page - 3..<page + 4))
        file.close()
        other.close()
    },
    Check("mapping/two-mappings", "mmap(2): shared mappings of a file show the same memory", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(2 * page))
        let other = try OpenFile("f", O_RDWR)
        let (one, two) = (
            try MappedFile(file, count: 2 * page), try MappedFile(other, offset: page, count: page)
        )
        one.store([1, 2, 3], at: page + 5)
        try expect("the other mapping", gives: [1, 2, 3], two.bytes(5..<8))
        two.store([4], at: 6)
        try expect("the first mapping", gives: [1, 4, 3], one.bytes(page + 5..<page + 8))
        file.close()
        other.close()
    },
    Check("mapping/private", "mmap(2): stores in a private mapping stay there", needs: []) {
        try store(String(repeating: "a", count: page), in: "f")
        let file = try OpenFile("f", O_RDWR)
        let map = try MappedFile(file, count: page, flags: MAP_PRIVATE)
        map.store([1, 2, 3], at: 0)
        try expect("read", gives: "aaa", try file.readText(3, at: 0))
        try expect("the mapping", gives: [1, 2, 3], map.bytes(0..<3))
        file.close()
    },
    Check("mapping/tail-is-zero", "mmap(2): the rest of the last page is zero and is not written", needs: [])
    {
        try store("tail", in: "f")
        let file = try OpenFile("f", O_RDWR)
        let map = try MappedFile(file, count: page)
        try expect(
            map.bytes(4..<page).allSatisfy { $0 == 0 }, "bytes behind the end of the file are not zero")
        map.store([9, 9], at: 4)
        try map.synchronize()
        try expect("f", .size(4))
        file.close()
        try expect("f", holds: "tail")
    },
    Check("mapping/outlives-the-descriptor", "mmap(2): close(2) does not unmap", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(page))
        let map = try MappedFile(file, count: page)
        file.close()
        map.store(Array("after close".utf8), at: 0)
        try map.synchronize()
        let again = try OpenFile("f", O_RDONLY)
        try expect("read", gives: "after close", try again.readText(11))
        again.close()
    },
    Check("mapping/of-a-removed-file", "mmap(2): a mapping keeps a file that has no name any more", needs: [])
    {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(page))
        let map = try MappedFile(file, count: page)
        try expect(.unlink("f"))
        map.store([7], at: 9)
        try map.synchronize()
        try expect("read", gives: [7], try file.read(1, at: 9))
        file.close()
        try expect("the mapping", gives: [7], map.bytes(9..<10))
    },
    Check("mapping/stays-without-msync", "mmap(2): what was stored is in the file after munmap(2)", needs: [])
    {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(3 * page))
        do {
            let map = try MappedFile(file, count: 3 * page)
            map.store([42], at: 2 * page + 1)
        }
        file.close()
        let again = try OpenFile("f", O_RDONLY)
        try expect("read", gives: [42], try again.read(1, at: 2 * page + 1))
        again.close()
    },
    Check(
        "mapping/protection", "mmap(2): EACCES for a shared writable mapping of a read-only file", needs: []
    ) {
        try store("data", in: "f")
        let file = try OpenFile("f", O_RDONLY)
        let call = Call("mmap(f, PROT_WRITE, MAP_SHARED)") {
            let address = unsafe mmap(nil, page, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0)
            return unsafe address == MAP_FAILED ? -1 : 0
        }
        try expect(call, .EACCES)
        let writer = try OpenFile("f", O_WRONLY)
        let reading = Call("mmap(f opened to write only)") {
            unsafe mmap(nil, page, PROT_READ, MAP_SHARED, writer.number, 0) == MAP_FAILED ? -1 : 0
        }
        try expect(reading, .EACCES)
        file.close()
        writer.close()
    },
    Check(
        "mapping/read-only-shared", "mmap(2): a read-only shared mapping shows the file and its changes",
        needs: []
    ) {
        try store("before", in: "f")
        let file = try OpenFile("f", O_RDWR)
        let map = try MappedFile(file, count: page, protection: PROT_READ)
        try expect("the mapping", gives: Array("before".utf8), map.bytes(0..<6))
        try file.write("after!", at: 0)
        try expect("the mapping", gives: Array("after!".utf8), map.bytes(0..<6))
        file.close()
    },
]
