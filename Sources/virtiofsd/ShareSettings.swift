// SPDX-License-Identifier: Apache-2.0
import Errors
import HostFS

extension Settings {
    /// Collects what the long options and the `-o` lists set.
    init(_ arguments: Arguments) throws(StartupError) {
        let place = arguments.place
        let caching = arguments.caching
        let features = arguments.features
        let process = arguments.process
        let values: [(Key, String, String?)] = [
            (.sharedDir, "--shared-dir", place.sharedDir), (.socket, "--socket-path", place.socketPath),
            (.socket, "--socket", place.socket), (.cache, "--cache", caching.cache),
            (.posixACL, "--posix-acl", features.posixACL),
            (.securityLabel, "--security-label", features.securityLabel),
            (.logLevel, "--log-level", process.logLevel), (.sandbox, "--sandbox", process.sandbox),
            (.modcaps, "--modcaps", process.modcaps), (.xattrmap, "--xattrmap", arguments.maps.xattrmap),
        ]
        for (key, option, value) in values {
            if let value { try set(key, to: value, option: option, spelling: spelling(option, value)) }
        }
        let switches: [(Key, String, Bool, String)] = [
            (.xattr, "--xattr", features.xattr, Settings.on),
            (.killprivV2, "--killpriv-v2", features.killprivV2, Settings.on),
            (.killprivV2, "--no-killpriv-v2", features.noKillprivV2, Settings.off),
            (.announceSubmounts, "--announce-submounts", features.announceSubmounts, Settings.on),
            (.announceSubmounts, "--no-announce-submounts", features.noAnnounceSubmounts, Settings.off),
            (.readdirplus, "--no-readdirplus", caching.noReaddirplus, Settings.off),
            (.writeback, "--writeback", caching.writeback, Settings.on),
            (.allowDirectIO, "--allow-direct-io", features.allowDirectIo, Settings.on),
            (.posixLock, "--posix-lock", features.posixLock, Settings.on),
            (.flock, "--flock", features.flock, Settings.on),
            (.logLevel, "-d", process.debug, "debug"),
        ]
        for (key, option, isGiven, value) in switches where isGiven {
            try set(key, to: value, option: option, spelling: option)
        }
        for list in process.legacy { try LegacyOptions.apply(list, to: &self) }
    }
}

extension ShareOptions {
    init(_ arguments: Arguments, _ settings: Settings) throws(StartupError) {
        guard let (directory, spelled) = settings[.sharedDir] else {
            throw StartupError(
                operation: "share", subject: "a directory", reason: "none is given",
                hint: "say which: --shared-dir DIR")
        }
        guard !directory.isEmpty else {
            throw StartupError(
                operation: "use", subject: spelled, reason: "the path is empty", hint: "give a directory")
        }
        self.init(sharedDirectory: ArgumentText.decode(directory))
        try setCaching(arguments.caching, settings)
        try setFeatures(arguments.features, settings)
        try setMaps(arguments.maps, settings)
        if exclusive { try checkExclusive(settings) }
        if cache == .shared { try makeShared(arguments, settings) }
    }

    private mutating func setCaching(_ arguments: CachingArguments, _ settings: Settings) throws(StartupError)
    {
        if let (value, spelled) = settings[.cache] {
            cache = try parse(value, as: "cache mode", spelled: spelled)
        }
        exclusive = arguments.exclusive
        if let value = arguments.entryTimeout {
            entryTimeout = try parseTimeout(value, option: "--entry-timeout")
        }
        if let value = arguments.attrTimeout {
            attributeTimeout = try parseTimeout(value, option: "--attr-timeout")
        }
        if let value = arguments.negativeTimeout {
            negativeTimeout = try parseTimeout(value, option: "--negative-timeout")
        }
        writeback = settings.isOn(.writeback)
        allowMmap = arguments.allowMmap
        readdirplus = settings.isOn(.readdirplus, default: true)
        if cache == .never, readdirplus, let wanted = settings[.readdirplus], let mode = settings[.cache] {
            throw contradiction(wanted.spelling, mode.spelling)
        }
    }

    /// A guest that opens without asking has one descriptor of a file for all its openers, and locks that the host sees are for
    /// shares that somebody else uses.
    private func checkExclusive(_ settings: Settings) throws(StartupError) {
        guard cache == .always else {
            throw StartupError(
                operation: "use",
                subject: settings[.cache].map { "--exclusive and \($0.spelling)" } ?? "--exclusive",
                reason: "a share that only this guest changes is for --cache always",
                hint: "say --cache always --exclusive, or leave --exclusive out")
        }
        for key in [Settings.Key.posixLock, .flock, .allowDirectIO] where settings.isOn(key) {
            if let other = settings[key] { throw contradiction("--exclusive", other.spelling) }
        }
        if preserveNoatime { throw contradiction("--exclusive", "--preserve-noatime") }
    }

    /// What the guest's agent cannot make right: data that the guest has not written yet, and mounts of their own, which it does
    /// not reach.
    private mutating func makeShared(_ arguments: Arguments, _ settings: Settings) throws(StartupError) {
        guard arguments.table.versionTable != nil else {
            throw StartupError(
                operation: "use", subject: settings[.cache]?.spelling ?? "--cache shared",
                reason: "there is no version table to tell what others change",
                hint: "say where it is to be: --version-table PATH")
        }
        for key in [Settings.Key.writeback, .announceSubmounts] where settings.isOn(key) {
            if let other = settings[key], let mode = settings[.cache] {
                throw contradiction(mode.spelling, other.spelling)
            }
        }
        announceSubmounts = false
    }

    private mutating func setFeatures(_ arguments: FeatureArguments, _ settings: Settings)
        throws(StartupError)
    {
        xattr = settings.isOn(.xattr)
        for key in [Settings.Key.posixACL, .securityLabel] {
            guard let (value, spelled) = settings[key] else { continue }
            let choice: Negotiation = try parse(value, as: "value", spelled: spelled)
            if key == .posixACL { posixACL = choice } else { securityLabel = choice }
            if choice == .never { continue }
            if !xattr, let refused = settings[.xattr] { throw contradiction(spelled, refused.spelling) }
            xattr = true
        }
        killprivV2 = settings.isOn(.killprivV2, default: true)
        announceSubmounts = settings.isOn(.announceSubmounts, default: true)
        if let value = arguments.inodeFileHandles {
            // `fallback` is an older word of virtiofsd for `prefer`.
            inodeFileHandles = try parse(
                value == "fallback" ? "prefer" : value, as: "value",
                spelled: spelling("--inode-file-handles", value))
        }
        allowDirectIO = settings.isOn(.allowDirectIO)
        readOnly = arguments.readonly
        preserveNoatime = arguments.preserveNoatime
        posixLock = settings.isOn(.posixLock)
        flock = settings.isOn(.flock)
    }
}
