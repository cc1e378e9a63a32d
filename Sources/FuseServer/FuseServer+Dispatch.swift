// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

extension FuseServer {
    /// The one switch from an opcode to its handler.
    func dispatch(
        _ opcode: Opcode, _ request: inout Request, deferrals: any DeferralSource
    ) throws(Errno) -> Answer {
        switch opcode {
        case .initialize: return try initialize(&request)
        case .destroy: return try destroy(&request)
        case .interrupt: return try interrupt(&request)

        case .lookup: return try lookup(&request)
        case .forget: return try forget(&request)
        case .batchForget: return try batchForget(&request)
        case .mknod: return try mknod(&request)
        case .mkdir: return try mkdir(&request)
        case .symlink: return try symlink(&request)
        case .link: return try link(&request)
        case .unlink: return try unlink(&request)
        case .rmdir: return try rmdir(&request)
        case .rename: return try rename(&request)
        case .rename2: return try rename2(&request)
        case .readlink: return try readlink(&request)
        case .create: return try create(&request)
        case .tmpfile: return try tmpfile(&request)

        case .getattr: return try getattr(&request)
        case .setattr: return try setattr(&request)
        case .statx: return try statx(&request)
        case .access: return try access(&request)
        case .statfs: return try statfs(&request)
        case .syncfs: return try syncfs(&request)
        case .setxattr: return try setxattr(&request)
        case .getxattr: return try getxattr(&request)
        case .listxattr: return try listxattr(&request)
        case .removexattr: return try removexattr(&request)

        case .open: return try open(&request)
        case .read: return try read(&request, deferrals)
        case .write: return try write(&request)
        case .flush: return try flush(&request)
        case .release: return try release(&request)
        case .fsync: return try fsync(&request)
        case .fallocate: return try fallocate(&request)
        case .lseek: return try lseek(&request)
        case .copyFileRange: return try copyFileRange(&request)
        case .copyFileRange64: return try copyFileRange64(&request)
        case .ioctl: return try ioctl(&request)
        case .getlk: return try getlk(&request)
        case .setlk: return try setlk(&request, wait: false, deferrals)
        case .setlkw: return try setlk(&request, wait: true, deferrals)

        case .opendir: return try opendir(&request)
        case .readdir: return try readdir(&request)
        case .readdirplus: return try readdirplus(&request)
        case .releasedir: return try releasedir(&request)
        case .fsyncdir: return try fsyncdir(&request)

        case .setupMapping: return try setupMapping(&request)
        case .removeMapping: return try removeMapping(&request)

        case .bmap, .poll, .notifyReply:
            throw request.refuse(.unknownOpcode)
        }
    }
}
