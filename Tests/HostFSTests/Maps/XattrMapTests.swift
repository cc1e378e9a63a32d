// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HostFS

@Suite struct XattrMapTests {
    private func map(_ text: String) throws -> XattrMap { try XattrMap(parsing: Array(text.utf8)) }

    private func error(_ bytes: [UInt8]) -> MapError? {
        do throws(MapError) {
            _ = try XattrMap(parsing: bytes)
            return nil
        } catch { return error }
    }

    /// The host's name for one of the guest's, or what is said instead.
    private func host(_ map: XattrMap, _ name: String, room: Int = 255) -> String {
        var buffer = [UInt8](repeating: 0, count: room)
        let found = Array(name.utf8).withUnsafeBytes { name in
            buffer.withUnsafeMutableBytes { map.hostName(of: name, into: $0) }
        }
        return switch found {
        case .mapped(let count): String(decoding: buffer[..<count], as: UTF8.self)
        case .same: name
        case .bad: "bad"
        case .unsupported: "unsupported"
        case .tooLong: "too long"
        }
    }

    /// The guest's name for one of the host's; nil: hidden.
    private func guest(_ map: XattrMap, _ name: String) -> String? {
        let bytes = Array(name.utf8)
        return bytes.withUnsafeBytes { map.strippedByteCount(of: $0) }.map {
            String(decoding: bytes[$0...], as: UTF8.self)
        }
    }

    @Test(arguments: [":map::user.virtiofs.:", ":prefix:all::user.virtiofs.::bad:all:::"])
    func everythingBehindOnePrefix(text: String) throws {
        let map = try map(text)
        #expect(host(map, "user.a") == "user.virtiofs.user.a")
        #expect(host(map, "security.capability") == "user.virtiofs.security.capability")
        #expect(host(map, "user.virtiofs.x") == "user.virtiofs.user.virtiofs.x")
        #expect(guest(map, "user.virtiofs.security.x") == "security.x")
        #expect(guest(map, "user.a") == nil && guest(map, "security.selinux") == nil)
        #expect(guest(map, "user.virtiofs.") == nil, "no name is left")
        #expect(map.targets == [Array("user.virtiofs.".utf8)])
    }

    @Test(arguments: [
        "/map/trusted./user.virtiofs./",
        """
          /prefix/all/trusted./user.virtiofs./
          /bad/server//trusted./
        \t/bad/client/user.virtiofs.//
          /ok/all///

        """,
    ]) func someBehindAPrefix(text: String) throws {
        let map = try map(text)
        #expect(host(map, "trusted.a") == "user.virtiofs.trusted.a")
        #expect(host(map, "user.virtiofs.trusted.a") == "bad")
        #expect(host(map, "user.a") == "user.a")
        #expect(guest(map, "user.virtiofs.trusted.a") == "trusted.a")
        #expect(guest(map, "trusted.a") == nil && guest(map, "user.a") == "user.a")
    }

    @Test func theFirstRuleCounts() throws {
        let map = try map(
            ":ok:all:user.x:user.x: +unsupported+all+user.+user.+ -bad-all-user-user-:ok:all:::")
        #expect(host(map, "user.xy") == "user.xy" && guest(map, "user.xy") == "user.xy")
        #expect(host(map, "user.a") == "unsupported" && guest(map, "user.a") == nil)
        #expect(host(map, "user") == "bad" && guest(map, "user") == nil)
        #expect(host(map, "use") == "use" && guest(map, "use") == "use")
    }

    @Test func scopesAreApart() throws {
        let map = try map(":prefix:client:a:p.: :prefix:server:b:q.: :bad:client:c:: :ok:all:::")
        #expect(host(map, "ax") == "p.ax" && guest(map, "p.ax") == "p.ax")
        #expect(host(map, "bx") == "bx" && guest(map, "q.bx") == "bx")
        // What a rule of the host's names calls its key matches nothing.
        #expect(guest(map, "q.x") == "x")
        #expect(host(map, "c") == "bad" && guest(map, "c") == "c")
    }

    /// XATTR_NAME_MAX.
    @Test func namesHaveAnEnd() throws {
        let map = try map(":map::user.virtiofs.:")
        let longest = "user." + String(repeating: "n", count: 255 - 14 - 5)
        #expect(host(map, longest) == "user.virtiofs." + longest)
        #expect(host(map, longest + "n") == "too long")
        #expect(host(map, "user.a", room: 19) == "too long" && host(map, "user.a", room: 20) != "too long")
        #expect(host(try self.map(":prefix:all:::"), longest + longest) == longest + longest)
    }

    @Test(arguments: [
        ("", "", "there is no rule"), ("  \n", "  \n", "there is no rule"),
        (":", ":", "it begins with no type of rule"), (":ok", ":ok", "it begins with no type of rule"),
        (":okay:all:::", ":okay:all:::", "it begins with no type of rule"),
        (": ok:all:::", ": ok:all:::", "it begins with no type of rule"),
        (":ok:all:: ", ":ok:all:: ", "it does not end"), (":map::x", ":map::x", "it does not end"),
        (":ok:everywhere:::", ":ok:everywhere:::", "no such scope"),
        (":map::x.: :ok:all:::", ":map::x.:", "rules follow it"),
        (":map::x.::map::y.:", ":map::x.:", "rules follow it"),
        (":prefix:all::user.:", ":prefix:all::user.:", "there are names that no rule matches"),
        (":ok:client:::", ":ok:client:::", "there are names that no rule matches"),
        (":ok:server:::", ":ok:server:::", "there are names that no rule matches"),
        (":ok:all:user.:user.:", ":ok:all:user.:user.:", "there are names that no rule matches"),
        (":ok:all:a\0b:: :ok:all:::", ":ok:all:a\0b:: :ok:all:::", "a name holds a zero byte"),
    ]) func whatIsWrongIsSaid(text: String, rule: String, reason: String) {
        let found = error(Array(text.utf8))
        #expect(found?.rule == Array(rule.utf8))
        #expect(found?.reason == reason)
        #expect(found?.hint.isEmpty == false)
    }

    /// Whatever the bytes: an answer, never a trap; and with a map every name has one.
    @Test func anyBytesAreReadAndAnyNameAnswered() {
        var generator = SystemRandomNumberGenerator()
        let words = [
            "map", "prefix", "ok", "bad", "all", "client", "server", ":", "::", "/", " ", "user.", "\0",
            "\u{ff}",
        ]
        var accepted = 0
        for round in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...12, using: &generator) {
                bytes += Array((words.randomElement(using: &generator) ?? "").utf8)
            }
            if round % 2 == 0 { bytes += Array(":ok:all:::".utf8) }
            guard let map = try? XattrMap(parsing: bytes) else { continue }
            accepted += 1
            for name in ["", "u", "user.x", "user.user.x", "\u{ff}"] {
                _ = host(map, name)
                _ = guest(map, name)
            }
        }
        #expect(accepted > 100)
    }

    @Test func bytesThatAreNoTextAreNames() throws {
        let map = try XattrMap(
            parsing: [0xfe] + Array("prefix".utf8) + [0xfe] + Array("all".utf8) + [
                0xfe, 0xff, 0xfe, 0x80, 0xfe,
            ]
                + Array(":ok:all:::".utf8))
        #expect(map.otherName(of: [0xff, 0x01]) == [0x80, 0xff, 0x01])
        #expect(map.otherName(of: [0x41]) == nil)
    }
}
