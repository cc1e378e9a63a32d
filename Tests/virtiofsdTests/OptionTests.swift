// SPDX-License-Identifier: Apache-2.0
import Backend
import HostFS
import HostOS
import Sandbox
import Testing

@testable import virtiofsd

@Suite struct OptionTests {
    @Test func theDefaults() throws {
        let read = try options(["--shared-dir", "/srv", "--socket-path", "/run/s"])
        #expect(read.share.sharedDirectory == Array("/srv".utf8))
        #expect(read.share.cache == .auto)
        #expect(read.share.entryTimeout == nil && read.share.attributeTimeout == nil)
        #expect(read.share.negativeTimeout == nil && !read.share.exclusive)
        #expect(read.share.readdirplus && read.share.killprivV2 && read.share.announceSubmounts)
        #expect(
            !read.share.writeback && !read.share.allowMmap && !read.share.allowDirectIO && !read.share.xattr)
        #expect(
            !read.share.readOnly && !read.share.preserveNoatime && !read.share.posixLock && !read.share.flock)
        #expect(read.share.posixACL == .never && read.share.securityLabel == .never)
        #expect(read.share.inodeFileHandles == .prefer)
        #expect(read.socket == .path("/run/s", group: nil))
        #expect(read.tag == nil)
        #expect(!read.once && !read.syslog)
        #expect(read.waitingThreads == 8)
        #expect(read.logLevel == .info)
        #expect(read.descriptorBudget == .automatic)
        #expect(read.capabilities == CapabilityChanges())
        #expect(read.seccomp == .kill)
        #expect(read.warnings.isEmpty)
    }

    @Test(arguments: [(0, 1), (1, 1), (8, 8), (9, 8), (512, 8)]) func oneQueueForEachCPU(
        cpus: Int, queues: Int
    ) throws {
        let read = try options(["--shared-dir=/s", "--socket-path=/p"], cpus: cpus)
        #expect(read.numRequestQueues == queues)
    }

    @Test(arguments: [
        ("auto", 1, PollingOptions.Mode.off), ("auto", 2, .automatic), ("0", 2, .off),
        ("50", 1, .fixed(50_000)),
        ("1000000", 2, .fixed(1_000_000_000)),
    ]) func pollingIsForHostsWithTwoCPUs(value: String, cpus: Int, mode: PollingOptions.Mode) throws {
        let words = ["--shared-dir=/s", "--socket-path=/p"]
        #expect(try options(words + ["--poll-us", value], cpus: cpus).polling.mode == mode)
        if value == "auto" { #expect(try options(words, cpus: cpus).polling.mode == mode) }
    }

    @Test(arguments: FilterAction.allCases) func actionsOfFilters(action: FilterAction) throws {
        #expect(try options(with: "--seccomp", action.rawValue).seccomp == action)
        #expect(try options(with: "--seccomp=\(action.rawValue)").seccomp == action)
    }

    @Test func capabilities() throws {
        let wanted = try CapabilityChanges("+sys_admin:-mknod", spelled: "")
        let ways = [
            ["--modcaps", "+sys_admin:-mknod"], ["--modcaps=-mknod:+sys_admin"],
            ["-o", "modcaps=+sys_admin:-mknod"],
            ["--modcaps=+sys_admin:-mknod", "-omodcaps=+sys_admin:-mknod"],
            ["--modcaps=-chown", "--modcaps=+SYS_ADMIN:-mknod"],
        ]
        for words in ways {
            let read = try options(["--shared-dir=/s", "--socket-path=/p"] + words)
            #expect(read.capabilities == wanted && read.warnings.isEmpty)
            #expect(read.share.inodeFileHandles == .prefer)
        }
        // A value that begins with a minus.
        #expect(
            try options(with: "--modcaps", "-mknod").capabilities.removed == CapabilitySet(named: "mknod"))
    }

    /// Without the capability handles cannot be opened, and need not be probed for.
    @Test func fileHandlesGoWithTheirCapability() throws {
        for (word, warnings) in [("prefer", 1), ("never", 0)] {
            let read = try options(
                with: "--modcaps=-dac_read_search", "--inode-file-handles", word)
            #expect(read.share.inodeFileHandles == .never && read.warnings.count == warnings)
        }
        let kept = try options(
            with: "--modcaps=-dac_read_search:+dac_read_search", "--inode-file-handles=mandatory")
        #expect(kept.share.inodeFileHandles == .mandatory)
        #expect(
            refusal(with: "--modcaps=-dac_read_search", "--inode-file-handles=mandatory")
                == "cannot combine --inode-file-handles mandatory and --modcaps -dac_read_search: they contradict each other; "
                + "leave one of them out")
    }

    @Test(arguments: [("0", 8), ("1", 1), ("16", 16), ("2147483647", 32)]) func waitingThreads(
        value: String, threads: Int
    ) throws {
        #expect(try options(with: "--thread-pool-size=" + value).waitingThreads == threads)
    }

    @Test func everySwitchReachesTheShare() throws {
        let read = try options(
            with: "--writeback", "--allow-mmap", "--no-readdirplus", "--readonly", "--no-killpriv-v2",
            "--no-announce-submounts", "--allow-direct-io", "--preserve-noatime", "--posix-lock", "--flock",
            "--once",
            "--num-request-queues", "64", "--rlimit-nofile=0", "--inode-file-handles=mandatory", "--cache",
            "metadata")
        #expect(
            read.share.writeback && read.share.allowMmap && !read.share.readdirplus && read.share.readOnly)
        #expect(!read.share.killprivV2 && !read.share.announceSubmounts && read.share.allowDirectIO)
        #expect(read.share.preserveNoatime && read.share.posixLock && read.share.flock && read.once)
        #expect(read.numRequestQueues == 64)
        #expect(read.descriptorBudget == .unchanged)
        #expect(read.share.inodeFileHandles == .mandatory)
        #expect(read.share.cache == .metadata)
    }

    @Test(arguments: [
        ("--posix-acl", Negotiation.always), ("--posix-acl=auto", .auto), ("--posix-acl=never", .never),
    ])
    func aclsImplyXattr(word: String, choice: Negotiation) throws {
        let read = try options(with: word)
        #expect(read.share.posixACL == choice)
        #expect(read.share.xattr == (choice != .never))
    }

    @Test func labelsImplyXattr() throws {
        #expect(try options(with: "--security-label").share.securityLabel == .always)
        #expect(try options(with: "--security-label=auto").share.xattr)
        #expect(try options(with: "-o", "security_label").share.securityLabel == .always)
        #expect(try options(with: "-o", "no_posix_acl").share.posixACL == .never)
    }

    @Test(arguments: [
        ("1", Timeout(seconds: 1)), ("0", .zero), ("0.5", Timeout(seconds: 0, nanoseconds: 500_000_000)),
        ("86400.000000001", Timeout(seconds: 86400, nanoseconds: 1)),
        ("2147483647", Timeout(seconds: 2_147_483_647)),
    ]) func timeouts(text: String, value: Timeout) throws {
        #expect(try parseTimeout(text, option: "--entry-timeout") == value)
    }

    @Test func timeoutsReachTheShare() throws {
        let read = try options(with: "--entry-timeout", "1.5", "--attr-timeout=2", "--negative-timeout", "0")
        #expect(read.share.entryTimeout == Timeout(seconds: 1, nanoseconds: 500_000_000))
        #expect(read.share.attributeTimeout == Timeout(seconds: 2))
        #expect(read.share.negativeTimeout == .zero)
    }

    @Test func sharedCaches() throws {
        let read = try options(with: "--cache=shared", "--version-table=/dev/shm/t")
        #expect(read.share.cache == .shared && !read.share.announceSubmounts)
        #expect(
            refusal(with: "--cache=shared")?.contains("say where it is to be: --version-table PATH") == true)
        for option in ["--writeback", "--announce-submounts"] {
            let refused = refusal(with: "--cache=shared", "--version-table=/dev/shm/t", option)
            #expect(refused?.contains("--cache shared and \(option)") == true, "\(refused ?? "taken")")
        }
    }

    @Test func anExclusiveShareKeepsWhatItSharesWithNobody() throws {
        let read = try options(
            with: "--exclusive", "--cache=always", "--writeback", "--no-readdirplus", "--readonly", "--xattr",
            "--posix-acl", "--no-killpriv-v2")
        #expect(read.share.exclusive && read.share.cache == .always && read.share.writeback)
        #expect(try options(with: "-o", "cache=always", "--exclusive").share.exclusive)
    }

    @Test(arguments: [
        ("error", LogLevel.error), ("warn", .warning), ("info", .info), ("debug", .debug), ("trace", .trace),
        ("off", .off),
    ]) func logLevels(word: String, level: LogLevel) throws {
        #expect(try options(with: "--log-level", word).logLevel == level)
    }

    @Test func theListSpellsSomeValuesDifferently() throws {
        #expect(try options(with: "-o", "loglevel=err").logLevel == .error)
        #expect(try options(with: "-o", "loglevel=warn").logLevel == .warning)
        #expect(try options(with: "-o", "cache=none").share.cache == .never)
        #expect(try options(with: "-ocache=always,sandbox=none").share.cache == .always)
        #expect(try options(with: "--inode-file-handles=fallback").share.inodeFileHandles == .prefer)
    }

    @Test func tagsUpTo36Bytes() throws {
        #expect(try options(with: "--tag", "x").tag == [0x78])
        #expect(try options(with: "--tag", String(repeating: "é", count: 18)).tag?.count == 36)
    }

    @Test func theSameOptionTwiceTakesTheLast() throws {
        #expect(try options(with: "--cache", "never", "--cache=always").share.cache == .always)
        #expect(try options(with: "--shared-dir", "/b").share.sharedDirectory == Array("/b".utf8))
        #expect(try options(with: "-o", "cache=none,cache=auto", "-o", "cache=always").share.cache == .always)
        #expect(try options(with: "--xattr", "--xattr").share.xattr)
        #expect(try options(with: "--log-level=off", "--log-level=trace").logLevel == .trace)
    }

    @Test func twoOptionsThatAgreeAreFine() throws {
        #expect(try options(with: "--cache", "never", "-o", "source=/srv,cache=none").share.cache == .never)
        #expect(try options(with: "--xattr", "-o", "xattr").share.xattr)
        #expect(try options(with: "-d", "--log-level", "debug").logLevel == .debug)
        #expect(try options(with: "--socket", "/run/s").socket == .path("/run/s", group: nil))
        #expect(
            try options(with: "--cache=never", "--no-readdirplus", "-o", "no_readdirplus").share.cache
                == .never)
    }

    @Test func whatTheUserShouldKnow() throws {
        #expect(try options(with: "-f").warnings.isEmpty)
        #expect(
            try options(["--shared-dir=/s", "--socket=/p", "-d", "--sandbox=none"]).warnings == [
                "--sandbox none: whoever takes the daemon over can reach all that its user can",
                "--socket is deprecated: use --socket-path",
                "-d is deprecated: use --log-level debug",
            ])
    }

    @Test func noWordsAskForHelp() throws {
        guard case .help(let text) = try readCommandLine([], cpus: 1) else {
            Issue.record("not help")
            return
        }
        #expect(text.contains("USAGE: virtiofsd --shared-dir <DIR> --socket-path <PATH>"))
    }

    @Test(arguments: ["-h", "--help"]) func helpNamesEveryOption(word: String) throws {
        guard case .answer(let text) = try readCommandLine([Array(word.utf8)], cpus: 1) else {
            Issue.record("not an answer")
            return
        }
        for option in [
            "--shared-dir", "--socket-path", "--socket-group", "--fd", "--tag", "--cache", "--entry-timeout",
            "--attr-timeout", "--negative-timeout", "--exclusive", "--writeback", "--allow-mmap",
            "--no-readdirplus",
            "--readonly",
            "--xattr", "--posix-acl", "--security-label", "--killpriv-v2", "--no-killpriv-v2",
            "--announce-submounts",
            "--no-announce-submounts", "--inode-file-handles", "--allow-direct-io", "--preserve-noatime",
            "--posix-lock",
            "--flock", "--translate-uid", "--translate-gid", "--xattrmap", "--limit-open-files",
            "--limit-inodes", "--limit-in-flight", "--limit-bytes-per-second", "--limit-requests-per-second",
            "--num-request-queues", "--thread-pool-size", "--poll-us", "--rlimit-nofile", "--once",
            "--sandbox",
            "--uid-map", "--gid-map", "--seccomp", "--modcaps",
            "--log-level", "--syslog", "--print-capabilities", "-V, --version", "-o <LIST>", "-h, --help",
        ] { #expect(text.contains(option)) }
        #expect(!text.contains("--migration-mode"))
    }

    /// A path need not be UTF-8, and must arrive as it was given.
    @Test(arguments: [
        Array("/srv/é".utf8), [0x2F, 0xFF, 0x80, 0x2C], Array("/\u{10FEFF}".utf8),
        Array("/\u{10FEFF}".utf8) + [0xFE],
    ]) func pathsAreBytes(path: [UInt8]) throws {
        let words = [Array("--socket-path=/p".utf8), Array("--shared-dir=".utf8) + path]
        guard case .serve(let read) = try readCommandLine(words, cpus: 1) else {
            Issue.record("not served")
            return
        }
        #expect(read.share.sharedDirectory == path)
    }
}
