// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A FUSE file system on a directory of this host.
///
/// Where we may, by mount(2): for all users, with the checks of the kernel, with devices and set-user-ID as on any file
/// system of root's. Otherwise by fusermount3: for the calling user, without those two.
package struct FuseMount: Sendable {
    /// Absolute and without links.
    package let path: String
    /// Whether every user may use it.
    package let isForAll: Bool
    private let helper: String?

    private static let helperTimeoutMilliseconds: Int32 = 10_000

    /// What a mount is, beside its place.
    package struct Options: Sendable {
        /// What mount(8) shows as its device.
        package var source: String
        package var readOnly = false
        /// The most bytes that one READ asks for.
        package var maximumRead = 1 << 20

        package init(source: String) { self.source = source }
    }

    /// A mount and its first channel. The kernel has put its INIT there.
    package struct Mounted: ~Copyable {
        package let mount: FuseMount
        private let device: OwnedDescriptor

        fileprivate init(mount: FuseMount, device: consuming OwnedDescriptor) {
            self.mount = mount
            self.device = device
        }

        package consuming func takeDevice() -> OwnedDescriptor { device }
    }

    /// Mounts on the directory `path`.
    package static func mount(on path: String, _ options: Options) throws(StartupError) -> Mounted {
        let place = try mountPoint(path)
        if geteuid() == 0 {
            let device = try open()
            do throws(Errno) {
                try mountDirectly(on: place, device: device.rawValue, options)
                return Mounted(mount: FuseMount(path: place, isForAll: true, helper: nil), device: device)
            } catch .EPERM {
                // Root of a container that may not mount: perhaps the helper may.
                if Files.program("fusermount3") == nil {
                    throw failure(place, "this process may not mount", "it needs CAP_SYS_ADMIN")
                }
            } catch {
                throw failure(place, describe(error))
            }
        }
        guard let helper = Files.program("fusermount3") else {
            throw failure(
                place, "only root may mount, and there is no fusermount3",
                "install the package fuse3 or run as root")
        }
        let device = try mountByHelper(helper, on: place, options)
        return Mounted(mount: FuseMount(path: place, isForAll: false, helper: helper), device: device)
    }

    /// Takes the mount away. EBUSY when something uses it, unless `lazily`: then it is out of sight at once and gone with
    /// its last user. Without `lazily` it can wait for the file system to answer.
    package func unmount(lazily: Bool) throws(Errno) {
        guard let helper else {
            _ = try systemCall {
                unsafe umount2(path, Int32(UMOUNT_NOFOLLOW) | (lazily ? Int32(MNT_DETACH) : 0))
            }
            return
        }
        let result = try ChildProcess.run(helper, ["-u"] + (lazily ? ["-z"] : []) + ["--", path])
        if result.end != .exited(0) { throw .EBUSY }
    }

    // MARK: Mounting

    /// The absolute path of the directory `path`.
    private static func mountPoint(_ path: String) throws(StartupError) -> String {
        var status = stat()
        do throws(Errno) {
            _ = try systemCall { unsafe stat(path, &status) }
        } catch .ENOTCONN {
            throw failure(path, "there is a dead mount", "take it away with: umount \(path)")
        } catch .ENOENT {
            throw failure(path, "there is no such directory", "make it first")
        } catch {
            throw failure(path, describe(error))
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw failure(path, "it is not a directory") }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe realpath(path, &buffer) != nil else {
            throw failure(path, describe(Errno(rawValue: errno)))
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func open() throws(StartupError) -> OwnedDescriptor {
        do throws(Errno) {
            return try openFuseDevice()
        } catch {
            let hint =
                switch error {
                case .ENOENT, .ENXIO, .ENODEV: "load the kernel module: modprobe fuse"
                case .EPERM, .EACCES: "a container needs the device /dev/fuse"
                default: ""
                }
            throw StartupError(operation: "open", subject: "/dev/fuse", reason: describe(error), hint: hint)
        }
    }

    private static func mountDirectly(
        on path: String, device: Int32, _ options: Options
    ) throws(Errno) {
        let data =
            "fd=\(device),rootmode=40000,user_id=\(geteuid()),group_id=\(getegid()),default_permissions,allow_other,"
            + "max_read=\(options.maximumRead)"
        let flags = options.readOnly ? VFS_MS_RDONLY : 0
        _ = try systemCall {
            unsafe data.withCString { unsafe Glibc.mount(options.source, path, "fuse.virtiofs", flags, $0) }
        }
    }

    private static func mountByHelper(
        _ helper: String, on path: String, _ options: Options
    ) throws(StartupError) -> OwnedDescriptor {
        // fusermount3 takes a backslash before what would end an option.
        let source = options.source.flatMap { $0 == "," || $0 == "\\" ? ["\\", $0] : [$0] }
        let list = [
            "fsname=" + String(source), "subtype=virtiofs", "default_permissions",
            "max_read=\(options.maximumRead)", options.readOnly ? "ro" : "rw",
        ]
        let errors = try messageFile(path)
        let pair = try socketPair(path)
        let number = try pair.split { (ours, theirs) throws(StartupError) -> Int32 in
            do throws(Errno) {
                let null = OwnedDescriptor(
                    adopting: try systemCall { unsafe Glibc.open("/dev/null", O_RDWR | O_CLOEXEC) })
                let child = try ChildProcess(
                    program: helper, arguments: ["-o", list.joined(separator: ","), "--", path],
                    environment: currentEnvironment() + ["_FUSE_COMMFD=3"],
                    descriptors: [null.rawValue, errors.rawValue, errors.rawValue, theirs.rawValue])
                if child.wait(milliseconds: helperTimeoutMilliseconds) == .exited(0) {
                    let device = try receiveDescriptor(from: ours.rawValue)
                    try setNonblocking(device.rawValue)
                    return device.release()
                }
            } catch {
                throw failure(path, "\(helper): \(describe(error))")
            }
            let said = (try? Files.readAllFromStart(errors.rawValue)) ?? []
            let line = String(decoding: said, as: UTF8.self).split(separator: "\n").last.map(String.init)
            throw failure(path, line ?? "\(helper) has failed")
        }
        return OwnedDescriptor(adopting: number)
    }

    private static func messageFile(_ path: String) throws(StartupError) -> OwnedDescriptor {
        do throws(Errno) { return try makeMemoryFile(name: "errors", byteCount: 0) } catch {
            throw failure(path, describe(error))
        }
    }

    private static func socketPair(_ path: String) throws(StartupError) -> SocketPair {
        do throws(Errno) { return try SocketPair() } catch { throw failure(path, describe(error)) }
    }

    /// The one descriptor that a peer has sent already. EPROTO when it has not.
    private static func receiveDescriptor(from socket: Int32) throws(Errno) -> OwnedDescriptor {
        var (byte, number): (UInt8, Int32) = (0, -1)
        var (count, truncated): (Int32, Int32) = (0, 0)
        _ = try systemCall {
            unsafe vfs_receive_fds(
                socket, &byte, 1, Int32(MSG_DONTWAIT), &number, 1, &count, &truncated)
        }
        guard count == 1 else { throw .EPROTO }
        return OwnedDescriptor(adopting: number)
    }

    private static func failure(_ path: String, _ reason: String, _ hint: String = "") -> StartupError {
        StartupError(operation: "mount on", subject: path, reason: reason, hint: hint)
    }
}
