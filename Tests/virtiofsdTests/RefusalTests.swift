// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import virtiofsd

/// Every refusal is one line: what was tried, on what, why not, what to do.
@Suite struct RefusalTests {
    private static let combine = "they contradict each other; leave one of them out"

    @Test(arguments: [
        (["-o", "source=/b"], "--shared-dir /srv and -o source=/b"),
        (["--cache", "always", "-o", "cache=none"], "--cache always and -o cache=none"),
        (["--xattr", "-o", "no_xattr"], "--xattr and -o no_xattr"),
        (["-o", "xattr,no_xattr"], "-o xattr and -o no_xattr"),
        (["--fd=3"], "--fd 3 and --socket-path /run/s"),
        (["--socket", "/run/t"], "--socket-path /run/s and --socket /run/t"),
        (["--killpriv-v2", "--no-killpriv-v2"], "--killpriv-v2 and --no-killpriv-v2"),
        (["--no-killpriv-v2", "-o", "killpriv_v2"], "--no-killpriv-v2 and -o killpriv_v2"),
        (
            ["--announce-submounts", "--no-announce-submounts"],
            "--announce-submounts and --no-announce-submounts"
        ),
        (
            ["--no-announce-submounts", "-o", "announce_submounts"],
            "--no-announce-submounts and -o announce_submounts"
        ),
        (["--no-readdirplus", "-o", "readdirplus"], "--no-readdirplus and -o readdirplus"),
        (["--cache=never", "-o", "readdirplus"], "-o readdirplus and --cache never"),
        (["--writeback", "-o", "no_writeback"], "--writeback and -o no_writeback"),
        (["--allow-direct-io", "-o", "no_allow_direct_io"], "--allow-direct-io and -o no_allow_direct_io"),
        (["--posix-lock", "-o", "no_posix_lock"], "--posix-lock and -o no_posix_lock"),
        (["--flock", "-o", "no_flock"], "--flock and -o no_flock"),
        (["--posix-acl=auto", "-o", "posix_acl"], "--posix-acl auto and -o posix_acl"),
        (["--posix-acl", "-o", "no_xattr"], "--posix-acl always and -o no_xattr"),
        (["--security-label=auto", "-o", "no_xattr"], "--security-label auto and -o no_xattr"),
        (
            ["--security-label", "-o", "no_security_label"],
            "--security-label always and -o no_security_label"
        ),
        (["-d", "--log-level", "info"], "--log-level info and -d"),
        (["--log-level=warn", "-o", "loglevel=err"], "--log-level warn and -o loglevel=err"),
        (["--sandbox=none", "-o", "sandbox=chroot"], "--sandbox none and -o sandbox=chroot"),
        (["--exclusive", "--cache=always", "--posix-lock"], "--exclusive and --posix-lock"),
        (["--exclusive", "--cache=always", "-o", "flock"], "--exclusive and -o flock"),
        (["--exclusive", "--cache=always", "--allow-direct-io"], "--exclusive and --allow-direct-io"),
        (["--exclusive", "--cache=always", "--preserve-noatime"], "--exclusive and --preserve-noatime"),
    ]) func contradictions(words: [String], pair: String) {
        #expect(
            refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words)
                == "cannot combine \(pair): \(Self.combine)")
    }

    @Test(arguments: [
        ([], "--exclusive"), (["--cache", "auto"], "--exclusive and --cache auto"),
        (["-o", "cache=none"], "--exclusive and -o cache=none"),
    ]) func anExclusiveShareIsForCacheAlways(words: [String], subject: String) {
        #expect(
            refusal(["--shared-dir", "/srv", "--socket-path", "/run/s", "--exclusive"] + words)
                == "cannot use \(subject): a share that only this guest changes is for --cache always; "
                + "say --cache always --exclusive, or leave --exclusive out")
    }

    @Test func aGroupNeedsASocketOfOurs() {
        #expect(
            refusal(["--shared-dir", "/srv", "--fd=3", "--socket-group", "kvm"])
                == "cannot combine --fd 3 and --socket-group kvm: \(Self.combine)")
    }

    private static let migration = "live migration is not built yet; leave it out"

    @Test(arguments: [
        (["--migration-mode", "find-paths"], "--migration-mode find-paths: \(migration)"),
        (["--migration-on-error", "abort"], "--migration-on-error abort: \(migration)"),
        (["--migration-verify-handles"], "--migration-verify-handles: \(migration)"),
        (["--migration-confirm-paths"], "--migration-confirm-paths: \(migration)"),
    ]) func notBuiltYet(words: [String], line: String) {
        #expect(refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words) == "cannot use \(line)")
    }

    @Test(arguments: [
        (
            ["--cache", "none"],
            "--cache none: no such cache mode; give never, metadata, auto, always or shared"
        ),
        (
            ["-o", "cache=loose"],
            "-o cache=loose: no such cache mode; give never, metadata, auto, always or shared"
        ),
        (
            ["--modcaps=sys_admin"],
            "--modcaps sys_admin: not a list of changes; write +NAME to keep a capability, -NAME to give it up, and a "
                + "colon between two"
        ),
        (
            ["-o", "modcaps=+CAP_MKNOD"],
            "-o modcaps=+CAP_MKNOD: one of the names is no capability; give names of capabilities(7) without "
                + "CAP_, such as sys_admin"
        ),
        (["-o", "modcaps"], "-o modcaps: its value is missing; write modcaps=VALUE"),
        (["--posix-acl=yes"], "--posix-acl yes: no such value; give never, auto or always"),
        (
            ["--inode-file-handles=often"],
            "--inode-file-handles often: no such value; give never, prefer or mandatory"
        ),
        (["--sandbox=jail"], "--sandbox jail: no such sandbox mode; give namespace, chroot or none"),
        (["--seccomp=allow"], "--seccomp allow: no such action; give kill, trap, log or none"),
        (
            ["--log-level", "loud"],
            "--log-level loud: no such log level; give error, warn, info, debug, trace or off"
        ),
        (
            ["--num-request-queues", "0"],
            "--num-request-queues 0: the number is out of range; give a number from 1 to 64"
        ),
        (
            ["--num-request-queues=65"],
            "--num-request-queues 65: the number is out of range; give a number from 1 to 64"
        ),
        (["--num-request-queues=two"], "--num-request-queues two: not a number; give a number from 1 to 64"),
        (["--num-request-queues", ""], "--num-request-queues : not a number; give a number from 1 to 64"),
        (["--num-request-queues=+2"], "--num-request-queues +2: not a number; give a number from 1 to 64"),
        (
            ["--thread-pool-size=-1"],
            "--thread-pool-size -1: not a number; give a number from 0 to 2147483647"
        ),
        (
            ["--poll-us=often"],
            "--poll-us often: not a time in microseconds; give a number from 0 to 1000000, or auto"
        ),
        (
            ["--poll-us", "1000001"],
            "--poll-us 1000001: not a time in microseconds; give a number from 0 to 1000000, or auto"
        ),
        (
            ["--poll-us", ""],
            "--poll-us : not a time in microseconds; give a number from 0 to 1000000, or auto"
        ),
        (
            ["--rlimit-nofile=99999999999999999999"],
            "--rlimit-nofile 99999999999999999999: the number is out of range; give a number from 0 to 9223372036854775807"
        ),
        (["--tag", ""], "--tag : it is empty; a tag has 1 to 36 bytes of UTF-8 on one line"),
        (["--tag", "a\nb"], "--tag a\\x0ab: it has a newline; a tag has 1 to 36 bytes of UTF-8 on one line"),
        (["--shared-dir", ""], "--shared-dir : the path is empty; give a directory"),
        (["-o", "bogus"], "-o bogus: no such option; see virtiofsd --help for what -o takes"),
        (["-o", "timeout=1"], "-o timeout=1: no such option; see virtiofsd --help for what -o takes"),
        (["-o", "xattr,"], "-o : no such option; see virtiofsd --help for what -o takes"),
        (["-o", "cache"], "-o cache: its value is missing; write cache=VALUE"),
        (["-o", "xattrmap"], "-o xattrmap: its value is missing; write xattrmap=VALUE"),
        (["-o", "xattr=on"], "-o xattr=on: it takes no value; write xattr alone"),
    ]) func badValues(words: [String], line: String) {
        #expect(refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words) == "cannot use \(line)")
    }

    @Test(arguments: [
        "", ".5", "1.", "1.0000000001", "-1", "+1", "1e3", "1,5", "2147483648", "99999999999999999999", "٣",
    ]) func badTimeouts(text: String) {
        let error = #expect(throws: StartupError.self) { try parseTimeout(text, option: "--attr-timeout") }
        #expect(error?.subject == "--attr-timeout " + escaped(Array(text.utf8)))
        #expect(error?.reason == "not a time in seconds")
        #expect(error?.hint == "give seconds from 0 to 2147483647 with at most nine decimals, such as 0.5")
    }

    @Test(arguments: ["--entry-timeout", "--attr-timeout", "--negative-timeout"])
    func aTimeoutOptionNamesItself(option: String) throws {
        #expect(
            try #require(refusal(with: option, "soon")).hasPrefix(
                "cannot use \(option) soon: not a time in seconds;"))
    }

    @Test func aTagOf37Bytes() {
        let tag = String(repeating: "x", count: 37)
        #expect(
            refusal(with: "--tag", tag)
                == "cannot use --tag \(tag): it has 37 bytes; a tag has 1 to 36 bytes of UTF-8 on one line")
    }

    @Test func aTagThatIsNotText() {
        let error = #expect(throws: StartupError.self) { try parseTag(ArgumentText.encode([0x61, 0xFF])) }
        #expect(
            error?.description
                == "cannot use --tag a\\xff: it is not UTF-8; a tag has 1 to 36 bytes of UTF-8 on one line")
    }

    @Test func socketPathsMustBeText() throws {
        #expect(
            refusal(["--shared-dir=/s", "--socket-path", ""])
                == "cannot use --socket-path : the path is empty; give another path")
        let error = #expect(throws: StartupError.self) {
            try readCommandLine(
                [Array("--shared-dir=/s".utf8), Array("--socket-path=/".utf8) + [0xFF]], cpus: 1)
        }
        #expect(
            error?.description == "cannot use --socket-path /\\xff: the path is not UTF-8; give another path")
    }

    @Test func whatIsMissing() {
        #expect(
            refusal(["--socket-path=/p"])
                == "cannot share a directory: none is given; say which: --shared-dir DIR")
        #expect(
            refusal(["--shared-dir=/s"])
                == "cannot listen for a VMM: neither --socket-path nor --fd is given; give a path: --socket-path PATH"
        )
    }

    @Test(arguments: [
        ("--bogus", "Unknown option '--bogus'"),
        ("--cache=", "Missing value for '--cache <auto|always|shared|metadata|never>'"),
        ("stray", "Unexpected argument 'stray'"),
        ("--tag", "Missing value for '--tag <TAG>'"),
    ]) func whatTheParserRefuses(word: String, reason: String) throws {
        let line = try #require(refusal(with: word))
        #expect(line == "cannot read the command line: \(reason); see virtiofsd --help")
    }

    @Test func anOptionalValueNeedsItsEqualsSign() {
        #expect(
            refusal(with: "--posix-acl", "auto")
                == "cannot read the command line: Unexpected argument 'auto'; see virtiofsd --help")
    }
}
