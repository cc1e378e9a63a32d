// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@testable import Sandbox

/// What is behind the walls of `--sandbox namespace`, tried by a process that is there; and that each wall is what holds it.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root: to be root, and to be somebody else"))
struct WallTests {
    /// What is seen with a wall and without it.
    struct Claim: CustomTestStringConvertible, Sendable {
        let wall: String
        let key: String
        let with: String
        let without: String

        var testDescription: String { "\(wall): \(key)" }
    }

    private static let denied = "Permission denied"
    private static let absent = "No such file or directory"

    static let claims = [
        Claim(wall: "processes", key: "pid namespace", with: "own", without: "shared"),
        Claim(wall: "network", key: "net namespace", with: "own", without: "shared"),
        Claim(wall: "network", key: "interfaces", with: "lo", without: hostInterfaces),
        Claim(wall: "ipc", key: "ipc namespace", with: "own", without: "shared"),
        Claim(wall: "ipc", key: "shared memory", with: absent, without: "reached"),
        Claim(wall: "hostName", key: "uts namespace", with: "own", without: "shared"),
        Claim(wall: "root", key: "above the share", with: absent, without: "reached"),
        Claim(wall: "root", key: "beside the share", with: absent, without: "reached"),
        Claim(wall: "mountFlags", key: "device", with: denied, without: "reached"),
        Claim(wall: "mountFlags", key: "program", with: denied, without: "executed"),
        Claim(wall: "mountFlags", key: "set-id", with: "ignored", without: "heeded"),
        Claim(wall: "processDirectory", key: "above the descriptors", with: absent, without: "reached"),
        Claim(wall: "processDirectory", key: "other processes", with: "Not a directory", without: "reached"),
        Claim(wall: "processDirectory", key: "above the threads", with: absent, without: "reached"),
    ]

    /// Those of this process, as the probe would list them.
    private static var hostInterfaces: String {
        ((try? Files.names(in: "/sys/class/net")) ?? []).sorted().joined(separator: " ")
    }

    @Test(arguments: Probe.User.allCases) func nothingButTheShareIsThere(user: Probe.User) throws {
        let probe = try Probe()
        let segment = try SharedMemory()
        let seen = try probe.run(user)
        try #require(seen["error"] == nil)
        for claim in Self.claims { #expect(seen[claim.key] == claim.with, "\(claim.key)") }
        #expect(seen["process id"] == "1")
        #expect(seen["mnt namespace"] == "own")
        #expect(seen["user namespace"] == (user == .root ? "shared" : "own"))
        #expect(seen["ids"] == (user == .root ? "0 0" : "1000 1000"))
        #expect(seen["root directory"] == "device program", "\(seen)")
        #expect(seen["share"] == "device program")
        #expect(seen["above the root directory"] == Self.absent)
        #expect(seen["own descriptor"] == "reached")
        #expect(seen["own attributes"] == "reached")
        #expect(seen["new file"] == "reached")
        withExtendedLifetime(segment) {}
    }

    @Test(arguments: claims) func withoutItsWallItFails(claim: Claim) throws {
        let segment = try SharedMemory()
        for user in Probe.User.allCases {
            // Each has files of its own there.
            let probe = try Probe()
            let seen = try probe.run(user, ["without=\(claim.wall)"])
            try #require(seen["error"] == nil)
            #expect(seen[claim.key] == claim.without, "\(user)")
        }
        withExtendedLifetime(segment) {}
    }

    @Test(arguments: Probe.User.allCases) func aReadOnlyShareIsAReadOnlyMount(user: Probe.User) throws {
        let seen = try Probe().run(user, ["readonly"])
        #expect(seen["new file"] == "Read-only file system")
        #expect(seen["own descriptor"] == "reached")
    }

    @Test(arguments: Probe.User.allCases) func aSingleFileHasAnEmptyRootDirectory(user: Probe.User) throws {
        let probe = try Probe()
        let seen = try probe.run(user, shared: probe.folder + "/outside")
        #expect(seen["process id"] == "1")
        #expect(seen["root directory"] == "")
        #expect(seen["above the share"] == "Not a directory")
        #expect(seen["above the root directory"] == Self.absent)
        #expect(seen["beside the share"] == Self.absent)
    }

    @Test(arguments: Probe.User.allCases) func theWholeHostCanBeTheShare(user: Probe.User) throws {
        let seen = try Probe().run(user, ["careful"], shared: "/")
        #expect(seen["process id"] == "1")
        #expect(seen["share"]?.contains("tmp") == true)
        #expect(seen["root directory"] == seen["share"])
        #expect(seen["set-id"] == "ignored")
    }

    @Test func anOrdinaryUserCanBeRootInside() throws {
        let seen = try Probe().run(.ordinary, ["map=:0:1000:1:"])
        #expect(seen["ids"] == "0 0")
        #expect(seen["new file"] == "reached")
    }

    /// What serves must not outlive what its launcher knows, however that ends; without the wall it does.
    @Test(arguments: Probe.User.allCases, [true, false])
    func whatServesDiesWithItsParent(user: Probe.User, hasWall: Bool) throws {
        let probe = try Probe()
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw Errno(rawValue: errno) }
        let output = OwnedDescriptor(adopting: ends[0])
        let input = OwnedDescriptor(adopting: ends[1])
        var launched: pid_t = 0
        do {
            let line = probe.command(user, hasWall ? ["hang"] : ["hang", "without=parentDeath"])
            var words = line.map { strdup($0) } + [nil]
            defer { for word in words { free(word) } }
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, input.rawValue, STDOUT_FILENO)
            try #require(posix_spawn(&launched, line[0], &actions, nil, &words, vfs_environment()) == 0)
            _ = consume input
        }
        var text = ""
        while !text.contains("hanging") {
            try #require(waitReadable(output.rawValue, timeoutMilliseconds: 30_000) != 0)
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = read(output.rawValue, &bytes, bytes.count)
            try #require(count > 0, "\(text)")
            text += String(decoding: bytes[..<count], as: UTF8.self)
        }
        let children = try Files.text("/proc/\(launched)/task/\(launched)/children")
        let server = try #require(children.split(separator: " ").first.flatMap { pid_t($0) })
        kill(launched, SIGKILL)
        var status: Int32 = 0
        waitpid(launched, &status, 0)
        if hasWall {
            // The pipe ends when nobody is left who could write.
            #expect(waitReadable(output.rawValue, timeoutMilliseconds: 30_000) != 0)
        } else {
            #expect(kill(server, 0) == 0)
            kill(server, SIGKILL)
        }
    }

    /// Where a container forbids it, the start ends with which wall and what to do.
    @Test func whatCannotBeRaisedStopsTheStart() throws {
        let probe = try Probe()
        let (_, output, _) = try ChildProcess.run(
            "/usr/bin/unshare",
            [
                "-Ur", "sh", "-c",
                "echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all "
                    + "\(probe.folder)/sandboxprobe \(probe.share)",
            ])
        #expect(
            String(decoding: output, as: UTF8.self)
                == "error: cannot raise the sandbox's mount namespace: Operation not permitted; allow it, or where it is "
                + "forbidden (a container, a system call filter, an administrator) give --sandbox chroot (root only) or "
                + "--sandbox none\n")
    }
}

/// A System V segment of the host, which a process in the same IPC namespace can find.
private final class SharedMemory {
    private let identifier: Int32

    init() throws {
        let made = shmget(0x5a17, 4096, IPC_CREAT | 0o666)
        guard made >= 0 else { throw Errno(rawValue: errno) }
        identifier = made
    }

    deinit { shmctl(identifier, IPC_RMID, nil) }
}
