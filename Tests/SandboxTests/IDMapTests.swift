// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

@testable import Sandbox

@Suite struct IDMapTests {
    private func read(_ text: String) throws -> IDMap { try IDMap(text, spelled: "--uid-map \(text)") }

    @Test(arguments: [":0:1000:1:", "/0/1000/1/", ",0,1000,1,", "é0é1000é1é"]) func anyDelimiterWill(
        text: String
    )
        throws
    {
        let map = try read(text)
        #expect(map == IDMap(inside: 0, outside: 1000, count: 1))
        #expect(map.words == ["0", "1000", "1"])
    }

    @Test func theLargestMap() throws {
        let map = try read(":0:0:4294967295:")
        #expect(map.maps(4_294_967_294) && !map.maps(4_294_967_295))
    }

    @Test func whatItMapsAndReaches() throws {
        let map = try read(":10:1000:5:")
        #expect(map.maps(10) && map.maps(14) && !map.maps(15) && !map.maps(9))
        #expect(map.reaches(1000) && map.reaches(1004) && !map.reaches(1005) && !map.reaches(999))
    }

    @Test(arguments: [
        "", ":", "::", "0:1000:1", ":0:1000:1", ":0:1000:1/", ":0:1000:", ":0:1000:1:2:", ":0::1:",
        ":-1:0:1:",
        ":+1:0:1:", ": 1:0:1:", "10100010001", ":0:1000:1::", ":a:b:c:",
    ]) func whatIsNoMap(text: String) {
        let error = #expect(throws: StartupError.self) { try read(text) }
        #expect(error?.reason == "not a map of ids")
    }

    @Test(arguments: [
        ":0:1000:0:", ":4294967296:0:1:", ":4294967295:0:1:", ":0:4294967295:1:", ":1:0:4294967295:",
    ])
    func whatIsOutOfRange(text: String) {
        let error = #expect(throws: StartupError.self) { try read(text) }
        #expect(error?.reason == "a number is out of range")
        #expect(error?.description.hasPrefix("cannot use --uid-map \(text): ") == true)
    }
}
