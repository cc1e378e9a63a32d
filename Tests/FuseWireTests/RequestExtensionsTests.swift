// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@Suite struct RequestExtensionsTests {
    func u32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    struct Parsed: Equatable {
        var label: String?
        var value: [UInt8]?
        var group: UInt32?
        var flags: UInt64
    }

    func parse(_ bytes: [UInt8]) -> Result<Parsed, WireError> {
        bytes.withUnsafeBytes { raw in
            do throws(WireError) {
                let extensions = try RequestExtensions(raw)
                return .success(
                    Parsed(
                        label: extensions.label.map { string($0.name) },
                        value: extensions.label.map { Array($0.value) }, group: extensions.group,
                        flags: extensions.neededFlags))
            } catch { return .failure(error) }
        }
    }

    /// A label as Linux sends it: the sizes say nothing of padding inside, all of the outer one does.
    var label: [UInt8] {
        u32(40)  // fuse_secctx_header.size: 8 + 8 + 17 + 4, padded
            + u32(1)  // nr_secctx
            + u32(4)  // fuse_secctx.size: of the value
            + u32(0)  // padding
            + Array("security.selinux\0".utf8)  // 17 bytes
            + [0x75, 0x3a, 0x72, 0]  // the value
            + [0, 0, 0]  // padding to 40
    }

    var group: [UInt8] {
        u32(16)  // fuse_ext_header.size
            + u32(32)  // FUSE_EXT_GROUPS
            + u32(1)  // nr_groups
            + u32(4242)  // groups[0]
    }

    @Test func nothingIsNothing() { #expect(parse([]) == .success(Parsed(flags: 0))) }

    @Test func aLabel() {
        let expected = Parsed(
            label: "security.selinux", value: [0x75, 0x3a, 0x72, 0], flags: InitFlags.securityContext)
        #expect(parse(label) == .success(expected))
    }

    @Test func aGroup() {
        #expect(parse(group) == .success(Parsed(group: 4242, flags: InitFlags.createSupplementaryGroup)))
    }

    @Test func bothInAnyOrder() {
        let expected = Parsed(
            label: "security.selinux", value: [0x75, 0x3a, 0x72, 0], group: 4242,
            flags: InitFlags.securityContext | InitFlags.createSupplementaryGroup)
        #expect(parse(label + group) == .success(expected))
        #expect(parse(group + label) == .success(expected))
    }

    /// A guest without a security module sends the bare header.
    @Test func noLabelToGive() {
        #expect(parse(u32(8) + u32(0)) == .success(Parsed(flags: InitFlags.securityContext)))
        let noGroup = u32(16) + u32(32) + u32(0) + u32(0)
        #expect(parse(noGroup) == .success(Parsed(flags: InitFlags.createSupplementaryGroup)))
    }

    @Test func everyCutIsRefused() {
        let whole = label + group
        for length in 1..<whole.count where length != label.count {
            #expect(parse(Array(whole.prefix(length))) == .failure(.badExtension), "cut at \(length)")
        }
    }

    @Test func malformedBlocksAreRefused() {
        let name = Array("security.selinux\0".utf8)
        let bad: [(String, [UInt8])] = [
            ("size 0", u32(0) + u32(0)),
            ("size below the header", u32(7) + u32(0)),
            ("size not padded", u32(12) + u32(0) + u32(0) + u32(0)),
            ("size beyond the end", u32(24) + u32(32) + u32(1) + u32(1)),
            ("huge size", u32(0xffff_fff8) + u32(32) + u32(1) + u32(1)),
            ("two labels", u32(40) + u32(2) + Array(label.dropFirst(8))),
            ("unknown type 31", u32(8) + u32(31)),
            ("unknown type 33", u32(8) + u32(33)),
            ("two groups", u32(24) + u32(32) + u32(2) + u32(1) + u32(2) + u32(0)),
            ("group count beyond the block", u32(16) + u32(32) + u32(0xffff_ffff) + u32(1)),
            ("group missing", u32(8) + u32(32)),
            ("label twice", label + label),
            ("groups twice", group + group),
            ("value beyond the block", u32(40) + u32(1) + u32(8) + u32(0) + name + [0, 0, 0, 0, 0, 0, 0]),
            ("huge value", u32(40) + u32(1) + u32(0xffff_ffff) + u32(0) + name + [0, 0, 0, 0, 0, 0, 0]),
            ("name without NUL", u32(24) + u32(1) + u32(0) + u32(0) + [UInt8](repeating: 0x61, count: 8)),
            ("empty name", u32(24) + u32(1) + u32(0) + u32(0) + [UInt8](repeating: 0, count: 8)),
            ("more than padding left", u32(24) + u32(32) + u32(1) + u32(7) + u32(0) + u32(0)),
        ]
        for (what, bytes) in bad { #expect(parse(bytes) == .failure(.badExtension), "\(what)") }
    }
}
