// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

@testable import Bench

@Suite struct PeerCommandTests {
    @Test func aPeerIsANameAndACommand() throws {
        let peer = try PeerCommand(
            parsing: "old=/opt/virtiofsd  --socket-path={socket} -o source={dir},x={dir}")
        #expect(peer.name == "old")
        #expect(peer.words == ["/opt/virtiofsd", "--socket-path={socket}", "-o", "source={dir},x={dir}"])
        #expect(
            peer.filled(socket: "/s p", directory: "/d")
                == ["/opt/virtiofsd", "--socket-path=/s p", "-o", "source=/d,x=/d"])
    }

    @Test func placesAreFilledOnce() throws {
        // What is filled in is not searched again.
        let peer = try PeerCommand(parsing: "p=x {socket}{dir}")
        #expect(peer.filled(socket: "/{dir}", directory: "/{socket}") == ["x", "/{dir}/{socket}"])
    }

    @Test(arguments: [
        ("x {socket} {dir}", "there is no ="), ("=x {socket} {dir}", "it has no name"),
        ("a b=x {socket} {dir}", "it has no name"), ("a=", "it has no command"),
        ("a=x {dir}", "{socket} is missing"), ("a=x {socket}", "{dir} is missing"),
    ])
    func whatIsNoPeerIsRefused(text: String, reason: String) throws {
        let error = #expect(throws: StartupError.self) { try PeerCommand(parsing: text) }
        #expect(error?.reason == reason)
    }

    @Test func theKnownOnesAreComparable() {
        let commands = [
            PeerCommand.ours(program: "/o", queues: 2), .rust(program: "/r"), .c(program: "/c"),
        ].map { $0.filled(socket: "/s", directory: "/d").joined(separator: " ") }
        #expect(
            commands == [
                "/o --socket-path=/s --shared-dir=/d --sandbox=none --cache=auto --xattr --num-request-queues=2",
                "/r --socket-path=/s --shared-dir=/d --sandbox=none --cache=auto --xattr",
                "/c --socket-path=/s -o source=/d -o sandbox=chroot -o cache=auto -o xattr",
            ])
    }
}
