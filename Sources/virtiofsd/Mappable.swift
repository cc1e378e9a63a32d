// SPDX-License-Identifier: Apache-2.0
import Errors
import HostFS
import HostOS
import MappableFiles

/// What `DAXWindow` wants of `MappableFiles`, and what it does not get is said once.
final class EndlessFiles: MappableSource {
    private let files: MappableFiles
    private let unguarded = RecurringEvent()

    init(_ files: MappableFiles) { self.files = files }

    func open(_ file: Int32) throws(Errno) -> OwnedDescriptor { try files.open(file) }

    func protect(_ file: Int32) {
        let reason: String
        do throws(Errno) {
            if try files.protect(file) == .full { return }
            reason = "the kernel tells of no truncate(2) on its file system"
        } catch {
            reason = describe(error)
        }
        Log.once(
            unguarded, .warning,
            "a file in the DAX window must not be made shorter by others while a guest uses it: \(reason)")
    }

    func unprotect(_ file: Int32) {
        // Without the process that was asked nothing is protected any more.
        try? files.unprotect(file)
    }
}

/// The threads that see to files of a window becoming shorter; they end with this object.
final class SizeWatch {
    private let stop: EventFD
    private let threads: [HostOS.Thread]

    /// - Parameter confine: called on each thread first; one that it fails on does nothing.
    init(
        _ window: DAXWindow, _ files: MappableFiles, confine: @escaping @Sendable () throws(Errno) -> Void
    ) throws(Errno) {
        let stop = try EventFD()
        self.stop = stop
        let announcements = try Thread(name: "cuts") {
            guard (try? confine()) != nil else { return }
            files.serveAnnouncements(until: stop) { key, length in
                window.cut(key, to: length)
            }
        }
        let looks = try Thread(name: "sizes") {
            guard (try? confine()) != nil else { return }
            window.lookAtSizes(until: stop)
        }
        threads = [announcements, looks]
    }

    deinit {
        stop.signal()
        for thread in threads { thread.join() }
    }
}
