// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// Guests that map the host's files through a DAX window: QEMU 11.1, an old and a new Linux.
@Suite(.serialized) struct VMDAXTests {
    private static func canMap(_ test: String) -> Bool {
        requirementsMet(test, .qemu, .lab, .debianRoot, .root, .passthrough)
    }

    /// Every byte is the daemon's to map, whatever a file's size.
    private func share(_ tag: String, _ scratch: ScratchDirectory, _ dax: DAXMode) -> TestShare {
        var share = TestShare(tag, scratch.path, options: ["--dax-min-size=1", "--allow-direct-io"])
        share.windowMebibytes = 64
        share.dax = dax
        return share
    }

    private func prepare(_ scratch: ScratchDirectory) throws {
        let script = """
            cd "$0"
            head -c 314572800 /dev/urandom >large
            head -c 50331648 /dev/urandom >repeated
            for file in large repeated; do md5sum $file >$file.md5; done
            """
        let made = try ChildProcess.run("/bin/sh", ["-ec", script, scratch.path])
        try #require(made.end == .exited(0), "\(String(decoding: made.errors, as: UTF8.self))")
    }

    /// Both modes in one guest, which mounts the share anew in between; then a file that the host cuts.
    @Test(
        .enabled(if: canMap("VMDAX.files")), arguments: [Stack.labQemu, .lab])
    func files(stack: Stack) throws {
        let scratch = try ScratchDirectory()
        try prepare(scratch)
        var share = share("dax", scratch, .always)
        share.requestQueues = 2
        let guest = try TestGuest(stack, [share])
        for mode in [DAXMode.always, .inode] {
            try Files.makeDirectories("\(scratch.path)/\(mode)")
            try guest.run("dax", in: "/mnt/dax/\(mode)", [mode.rawValue])
            guard mode == .always else { break }
            let again = """
                umount /mnt/tools/mnt/dax && umount /mnt/dax && mount -t virtiofs -o dax=inode dax /mnt/dax &&
                mount -o bind /mnt/dax /mnt/tools/mnt/dax
                """
            let result = try guest.machine.execute(GuestCommand(again))
            try #require(result.exitStatus == 0, "\(result.errorText)")
        }
        for name in ["large", "repeated"] { unlink("\(scratch.path)/\(name)") }
        try guest.expectSameOnBothSides(share)
        try cut(scratch.path, in: guest)
        guest.end()
    }

    /// A host process cuts a mapped file again and again while a guest reads it: the guest gets data, zeros or an error, and lives.
    private func cut(_ directory: String, in guest: TestGuest) throws {
        let bytes = [UInt8](repeating: 0x41, count: 3 << 20)
        let path = "\(directory)/cut"
        try Files.replace(path, with: bytes)
        let reader = """
            import os, random
            file = os.open("/mnt/dax/cut", os.O_RDONLY)
            seen = {}
            while not os.path.exists("/mnt/dax/stop"):
                for turn in range(50):
                    try:
                        data = os.pread(file, 4096, random.randrange(0, 3 << 20, 512))
                        kind = "data" if set(data) == {65} else "zeros" if set(data) <= {0} else "both"
                        assert set(data) <= {0, 65}, set(data)
                    except OSError as error:
                        kind = f"error {error.errno}"
                    seen[kind] = seen.get(kind, 0) + 1
            print(seen)
            """
        let cutter = try HostOS.Thread(name: "cutter") {
            // Until the reader has surely begun.
            usleep(3_000_000)
            for round in 0..<1000 {
                truncate(path, round % 7 * 4096 * 100)
                usleep(UInt32(round % 5) * 500)
                let file = open(path, O_WRONLY | O_CLOEXEC)
                _ = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count / (1 + round % 4)) }
                close(file)
                usleep(1000)
            }
            try? Files.replace("\(directory)/stop", with: [])
        }
        let result = try guest.debian("exec python3 -", input: Array(reader.utf8), seconds: 120)
        cutter.join()
        #expect(result.exitStatus == 0, "\(result.errorText)\n\(guest.tails)")
        #expect(result.text.contains("data"), "\(result.text)")
        // The guest goes on, with the file too.
        try Files.replace(path, with: bytes)
        let sum = try guest.debian("sync; echo 3 >/proc/sys/vm/drop_caches; md5sum </mnt/dax/cut")
        let wanted = try guest.debian("head -c 3145728 /dev/zero | tr '\\0' A | md5sum")
        #expect(sum.text == wanted.text, "\(guest.tails)")
    }

    /// What one guest writes in place, another that has a daemon of its own reads at once.
    @Test(.enabled(if: canMap("VMDAX.twoGuests"))) func twoGuests() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("file", String(repeating: ".", count: 3 << 20))
        let guests = try (0..<2).map { _ in
            try TestGuest(.lab, [share("dax", scratch, .inode)], processors: 1)
        }
        func run(_ number: Int, _ script: String) throws -> String {
            let result = try guests[number].debian("exec 3<>/mnt/dax/file; \(script)")
            #expect(result.exitStatus == 0, "\(result.errorText)\n\(guests[number].tails)")
            return result.text
        }
        func read(_ number: Int, _ place: Int) throws -> String {
            try run(number, "dd if=/mnt/dax/file bs=4 count=1 skip=\(place) 2>/dev/null")
        }
        let places = [0, 131_072, 524_287, 524_288, 786_431]
        // Both have every piece mapped before anything is written.
        for number in 0..<2 { for place in places { #expect(try read(number, place) == "....") } }
        for (turn, place) in places.enumerated() {
            let word = "by\(turn % 2)\(turn)"
            _ = try run(
                turn % 2, "printf \(word) | dd of=/mnt/dax/file bs=4 seek=\(place) conv=notrunc 2>/dev/null")
            #expect(try read(1 - turn % 2, place) == word, "turn \(turn)")
        }
        let text = Array(scratch.text("file").utf8)
        for (turn, place) in places.enumerated() {
            #expect(Array(text[4 * place..<4 * place + 4]) == Array("by\(turn % 2)\(turn)".utf8))
        }
        for guest in guests { guest.end() }
    }
}
