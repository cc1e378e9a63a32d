// SPDX-License-Identifier: Apache-2.0
import HostFS
import HostOS
import Testing

@testable import virtiofsd

/// The command lines launchers really use, word for word (only the paths are ours).
@Suite struct LauncherTests {
    @Test func libvirtWithSeparateOptions() throws {
        let read = try options([
            "--fd=33", "--shared-dir", "/srv/a,b", "--cache", "never", "--xattr", "--thread-pool-size=16",
            "--rlimit-nofile=4096", "--log-level", "debug",
        ])
        #expect(read.socket == .listening(33))
        #expect(read.share.sharedDirectory == Array("/srv/a,b".utf8))
        #expect(read.share.cache == .never)
        #expect(read.share.xattr)
        #expect(read.descriptorBudget == .exactly(4096))
        #expect(read.logLevel == .debug)
    }

    @Test func libvirtWithTheOptionList() throws {
        let read = try options([
            "--fd=33", "-o", "source=/srv/a,,b,cache=none,no_xattr,flock,posix_lock", "--thread-pool-size=0",
            "-d",
        ])
        #expect(read.share.sharedDirectory == Array("/srv/a,b".utf8))
        #expect(read.share.cache == .never)
        #expect(!read.share.xattr)
        #expect(read.share.flock && read.share.posixLock)
        #expect(read.logLevel == .debug)
    }

    /// A session domain: libvirt maps root to the user and the rest to what /etc/subuid grants.
    @Test func libvirtOfAnOrdinaryUser() throws {
        let read = try options(
            [
                "--fd=33", "--shared-dir", "/srv", "--uid-map=:0:1000:1:", "--uid-map=:1:100000:65536:",
                "--gid-map=:0:100:1:", "--gid-map=:1:100000:65536:",
            ], user: .ordinary)
        guard case .namespace(let user?) = read.sandbox else {
            Issue.record("no user namespace")
            return
        }
        #expect(user.uidMap.count == 2 && user.gidMap.count == 2)
    }

    @Test func kataGo() throws {
        let read = try options([
            "--syslog", "--cache=auto", "--shared-dir=/run/kata-containers/shared/sandboxes/x/shared",
            "--fd=3",
            "--inode-file-handles=prefer", "--thread-pool-size=1", "-o", "announce_submounts",
        ])
        #expect(read.syslog)
        #expect(read.socket == .listening(3))
        #expect(read.share.announceSubmounts)
        #expect(read.share.inodeFileHandles == .prefer)
    }

    @Test func kataRust() throws {
        let read = try options([
            "--socket-path", "/run/kata/x/virtiofsd.sock", "--shared-dir", "/run/kata-containers/shared/x/ro",
            "--cache",
            "auto", "--sandbox", "none", "--seccomp", "none", "--inode-file-handles", "never",
            "--thread-pool-size=1",
            "--announce-submounts", "--xattr",
        ])
        #expect(read.socket == .path("/run/kata/x/virtiofsd.sock", group: nil))
        #expect(read.share.inodeFileHandles == .never)
        #expect(read.share.xattr)
        #expect(read.sandbox == .none)
    }

    @Test func lima() throws {
        let read = try options([
            "--socket-path", "/home/u/.lima/d/virtiofsd-0.sock", "--shared-dir", "/home/u",
        ])
        #expect(read.share.cache == .auto)
        #expect(!read.share.readOnly)
    }

    @Test(arguments: [[], ["--sandbox", "none"], ["--readonly"], ["--sandbox", "none", "--readonly"]])
    func appleContainerization(more: [String]) throws {
        let read = try options(["--socket-path", "/run/c/fs0.sock", "--shared-dir", "/srv"] + more)
        #expect(read.share.readOnly == more.contains("--readonly"))
    }

    @Test func microvmNix() throws {
        let read = try options([
            "--socket-path=host-virtiofs-store.sock", "--socket-group=kvm", "--shared-dir=/nix/store",
            "--rlimit-nofile",
            "1048576", "--thread-pool-size", "2", "--posix-acl", "--xattr", "--cache=auto",
            "--inode-file-handles=prefer",
            "--tag=store", "--readonly",
        ])
        #expect(read.socket == .path("host-virtiofs-store.sock", group: "kvm"))
        #expect(read.descriptorBudget == .exactly(1_048_576))
        #expect(read.share.posixACL == .always)
        #expect(read.tag == Array("store".utf8))
        #expect(read.share.readOnly)
    }

    /// lima takes a daemon that answers --version with exit 0; QEMU's own does not know the option.
    @Test(arguments: ["-V", "--version"]) func theVersionIsOneLine(word: String) throws {
        guard case .answer(let text) = try readCommandLine([Array(word.utf8)], cpus: 1) else {
            Issue.record("no answer")
            return
        }
        #expect(text == "virtiofsd (swift-virtiofs) 0.1.0")
    }

    @Test func libvirtAsksForCapabilitiesWithoutAShare() throws {
        guard case .answer(let text) = try readCommandLine([Array("--print-capabilities".utf8)], cpus: 1)
        else {
            Issue.record("no answer")
            return
        }
        #expect(
            text == """
                {
                  "type": "fs",
                  "features": [
                    "posix-acl-negotiation-mode",
                    "security-label-negotiation-mode",
                    "separate-options"
                  ]
                }
                """)
    }

    /// libvirt reads the installed description first and asks the binary second: they must say the same.
    @Test func theInstalledDescriptionHasTheSameFeatures() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(
            separator: "/")
        let description = try Files.text(root + "/dist/50-virtiofsd.json.in")
        let features = try #require(capabilities.firstRange(of: "\"features\"")).lowerBound
        #expect(description.hasSuffix(String(capabilities[features...]) + "\n"))
        #expect(description.contains("\"type\": \"fs\""))
        #expect(description.contains("\"binary\": \"@BINDIR@/virtiofsd\""))
    }
}
