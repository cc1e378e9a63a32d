// SPDX-License-Identifier: Apache-2.0

/// How long a guest may use what it knows without asking.
package struct Timeout: Sendable, Equatable, Comparable {
    package var seconds: UInt64
    package var nanoseconds: UInt32

    package init(seconds: UInt64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    package static let zero = Timeout(seconds: 0)

    package static func < (left: Timeout, right: Timeout) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// `--cache`: what the guest keeps, and for how long.
package enum CachePolicy: String, Sendable, CaseIterable {
    /// Nothing: every access asks.
    case never
    /// Names and attributes for a day; data never.
    case metadata
    /// Names and attributes for a second; data until the file is opened again.
    case auto
    /// Everything for a day: for shares that others change seldom.
    case always
    /// The same as long as the guest is told of what others change, otherwise as `auto`. Takes a version table.
    case shared

    /// Default of --entry-timeout and --attr-timeout.
    package var timeout: Timeout {
        switch self {
        case .never: .zero
        case .auto: Timeout(seconds: 1)
        case .metadata, .always, .shared: Timeout(seconds: 86400)
        }
    }
}

/// Whether an INIT feature is not used, used if the guest can, or demanded (INIT fails with EPROTO otherwise).
package enum Negotiation: String, Sendable, CaseIterable {
    case never, auto, always
}

extension Timeout {
    /// As good as for ever, in the guest's clock ticks too.
    package static let year = Timeout(seconds: 365 * 86400)
}

/// `--inode-file-handles`: how an inode is referred to while the guest knows it.
package enum FileHandlePolicy: String, Sendable, CaseIterable {
    /// An O_PATH descriptor each.
    case never
    /// A file handle where the file system and our rights allow it, else a descriptor.
    case prefer
    /// A file handle, or an error.
    case mandatory
}

/// How much a guest may have at a time; nil: as much as there is room for.
package struct Limits: Sendable, Equatable {
    /// `--limit-open-files`: open files and directories.
    package var openFiles: Int?
    /// `--limit-inodes`: objects that the guest knows, besides the shared directory.
    package var inodes: Int?
    /// How many requests may wait for a lock that somebody else holds.
    package var waitingLocks: Int?

    package init() {}
}

/// Everything about one share that is fixed when the daemon starts. Names and defaults are those of the options.
package struct ShareOptions: Sendable {
    /// The directory (or single regular file) to serve, as bytes without a NUL.
    package var sharedDirectory: [UInt8]
    package var cache: CachePolicy = .auto
    /// Nobody but this guest changes the share: with `cache: .always`.
    package var exclusive = false
    /// nil: the default of `cache`, and with `exclusive` a year.
    package var entryTimeout: Timeout?
    package var attributeTimeout: Timeout?
    /// How long a missing name stays missing; nil: the same default.
    package var negativeTimeout: Timeout?
    /// MAP_SHARED of files opened without a guest page cache (never, metadata).
    package var allowMmap = false
    /// false: `--no-readdirplus`; `cache: .never` turns it off too.
    package var readdirplus = true
    package var writeback = false
    package var allowDirectIO = false
    package var xattr = false
    package var posixACL: Negotiation = .never
    package var securityLabel: Negotiation = .never
    /// HANDLE_KILLPRIV_V2 where the guest offers it.
    package var killprivV2 = true
    package var announceSubmounts = true
    package var inodeFileHandles: FileHandlePolicy = .prefer
    package var readOnly = false
    /// Between the users of the guest and of the host, and the groups.
    package var users = IdMap()
    package var groups = IdMap()
    /// What the guest's extended attributes are called; nil: the same.
    package var xattrMap: XattrMap?
    package var preserveNoatime = false
    package var posixLock = false
    package var flock = false
    /// How many descriptors of known inodes are kept open at most, where file handles can bring them back.
    package var hotDescriptors = 24

    /// So many that the daemon holds fewer than a hundred for a guest of `queues` request queues, each with five of its own.
    package static func hotDescriptors(beside queues: Int) -> Int { max(24, 60 - 5 * queues) }

    package var limits = Limits()
    /// nil: the device has no DAX window.
    package var dax: DAXOptions?

    package init(sharedDirectory: [UInt8]) { self.sharedDirectory = sharedDirectory }
}

extension ShareOptions {
    /// Whether the share needs this process's /proc/self/task: where the labels of new files are given.
    package var needsTasks: Bool { securityLabel != .never }

    var validity: Validity {
        let standard = exclusive ? .year : cache.timeout
        return Validity(
            names: entryTimeout ?? standard, attributes: attributeTimeout ?? standard,
            missing: negativeTimeout ?? standard)
    }
}

/// How long the guest may use what an answer says.
struct Validity {
    var names: Timeout
    var attributes: Timeout
    /// That a name is missing; zero: it asks each time.
    var missing: Timeout

    /// The same where nobody tells the guest of changes: no longer than with `auto`.
    var alone: Validity {
        let limit = CachePolicy.auto.timeout
        return Validity(
            names: min(names, limit), attributes: min(attributes, limit), missing: min(missing, limit))
    }
}
