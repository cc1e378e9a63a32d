// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// This process's own directories of /proc, held open: behind the walls of a sandbox no path leads there.
package struct OwnProcess: ~Copyable, Sendable {
    /// O_PATH of /proc/self/fd, through which what is open is opened again.
    package let descriptors: OwnedDescriptor
    /// O_PATH of /proc/self/task, where the threads' security attributes are; nil: not wanted.
    private let taskDirectory: OwnedDescriptor?

    package init(descriptors: consuming OwnedDescriptor, tasks: consuming OwnedDescriptor?) {
        self.descriptors = descriptors
        taskDirectory = tasks
    }

    /// The number of the directory of threads; −1 if it is not open.
    package var tasks: Int32 {
        switch taskDirectory {
        case .some(let directory): directory.rawValue
        case .none: -1
        }
    }

    /// Opens them by path.
    package init(withTasks: Bool) throws(StartupError) {
        self.init(
            descriptors: try Self.open("/proc/self/fd"),
            tasks: withTasks ? try Self.open("/proc/self/task") : nil)
    }

    private static func open(_ path: String) throws(StartupError) -> OwnedDescriptor {
        do throws(Errno) {
            return OwnedDescriptor(
                adopting: try systemCall { unsafe Glibc.open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) })
        } catch {
            throw StartupError(
                operation: "open", subject: path, reason: describe(error),
                hint: "mount a proc file system there")
        }
    }
}
