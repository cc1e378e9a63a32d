// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS

/// A directory that daemons of their own processes share with `--seccomp kill`.
final class FilteredShare {
    private let scratch: TemporaryDirectory
    let root: String

    init() throws {
        scratch = try TemporaryDirectory()
        root = scratch.path + "/share"
        try check(mkdir(root, 0o777))
        try check(chmod(root, 0o777))
    }

    func daemon(_ more: [String] = []) throws -> DaemonProcess {
        let quiet = OwnedDescriptor(adopting: try check(open("/dev/null", O_WRONLY | O_CLOEXEC)))
        return try DaemonProcess(
            sharing: root,
            [
                "--seccomp", "kill", "--log-level", "trace", "--xattr", "--posix-acl=auto",
                "--num-request-queues", "2",
            ] + more, errors: quiet.rawValue)
    }

    func guest(_ daemon: DaemonProcess, bufferCount: Int = 0) throws -> FuseClient {
        var options = FrontendOptions()
        (options.requestQueues, options.depth, options.bufferCount) = (2, 8, bufferCount)
        let client = FuseClient(try DeviceFrontend(connectingTo: daemon.socketPath, options: options))
        client.rotatesQueues = true
        _ = try client.initialize()
        return client
    }

    /// A share as the catalogue's requests want it.
    func refill() throws {
        removeTree(in: root)
        try CatalogueFixture.fill(root)
    }

    private func removeTree(in directory: String) {
        for name in (try? Files.names(in: directory)) ?? [] {
            let path = directory + "/" + name
            if unlink(path) != 0 {
                removeTree(in: path)
                rmdir(path)
            }
        }
    }
}
