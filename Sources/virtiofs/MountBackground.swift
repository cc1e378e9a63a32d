// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// `virtiofs mount` without --foreground: another one of us does the work, and we return when its mount is there.
enum MountBackground {
    /// The exit status for our caller: the other's, if it ends before it is ready.
    static func run() -> Int32 {
        do throws(Errno) {
            let pipe = try SocketPair()
            var arguments = Array(CommandLine.arguments.dropFirst())
            // Behind the word "mount", so that they come before a "--".
            arguments.insert(
                contentsOf: ["--foreground", "--ready-descriptor", "3"], at: min(1, arguments.count))
            let program = try Files.ownProgram()
            return try pipe.split { (ours, theirs) throws(Errno) in
                let process = try DetachedProcess.start(
                    program: program, arguments: arguments, descriptors: [theirs.rawValue])
                _ = consume theirs
                var byte: UInt8 = 0
                let number = ours.rawValue
                let count = try systemCall { unsafe read(number, &byte, 1) }
                return count == 1 ? 0 : try DetachedProcess.wait(process)
            }
        } catch {
            MountSession.say("cannot go into the background: \(describe(error))")
            return 1
        }
    }

    /// In the other one: says that the mount is there. EPIPE when nobody waits for it any more.
    static func announce(_ descriptor: Int32) throws(Errno) {
        let peer = OwnedDescriptor(adopting: descriptor)
        try Files.writeAll(peer.rawValue, [1])
        try DetachedProcess.forgetCaller()
    }
}
