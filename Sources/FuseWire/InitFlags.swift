// SPDX-License-Identifier: Apache-2.0

/// FUSE_INIT flags: `flags` of INIT in the low half, `flags2` in the high half.
package enum InitFlags {
    package static let asyncRead: UInt64 = 1 << 0
    package static let posixLocks: UInt64 = 1 << 1
    package static let fileOps: UInt64 = 1 << 2
    package static let atomicTruncate: UInt64 = 1 << 3
    /// LOOKUP of "." and ".." by nodeid, for NFS export in the guest.
    package static let exportSupport: UInt64 = 1 << 4
    package static let bigWrites: UInt64 = 1 << 5
    /// The guest does not apply its umask; the file system does.
    package static let dontMask: UInt64 = 1 << 6
    package static let spliceWrite: UInt64 = 1 << 7
    package static let spliceMove: UInt64 = 1 << 8
    package static let spliceRead: UInt64 = 1 << 9
    package static let flockLocks: UInt64 = 1 << 10
    package static let hasIoctlDir: UInt64 = 1 << 11
    package static let autoInvalidateData: UInt64 = 1 << 12
    package static let doReaddirplus: UInt64 = 1 << 13
    package static let readdirplusAuto: UInt64 = 1 << 14
    package static let asyncDirectIO: UInt64 = 1 << 15
    package static let writebackCache: UInt64 = 1 << 16
    /// An answer of the guest only: ENOSYS to OPEN means "no need to ask".
    package static let noOpenSupport: UInt64 = 1 << 17
    package static let parallelDirectoryOps: UInt64 = 1 << 18
    package static let handleKillPriv: UInt64 = 1 << 19
    package static let posixACL: UInt64 = 1 << 20
    package static let abortError: UInt64 = 1 << 21
    package static let maxPages: UInt64 = 1 << 22
    package static let cacheSymlinks: UInt64 = 1 << 23
    /// The same for OPENDIR.
    package static let noOpendirSupport: UInt64 = 1 << 24
    package static let explicitInvalidateData: UInt64 = 1 << 25
    package static let mapAlignment: UInt64 = 1 << 26
    package static let submounts: UInt64 = 1 << 27
    package static let handleKillPrivV2: UInt64 = 1 << 28
    /// `SetXattrIn` is 16 bytes long, not 8.
    package static let setxattrExtended: UInt64 = 1 << 29
    /// `flags2` is meant.
    package static let initExtended: UInt64 = 1 << 30
    /// Requests that make objects carry a `fuse_secctx`.
    package static let securityContext: UInt64 = 1 << 32
    package static let hasInodeDAX: UInt64 = 1 << 33
    /// Requests that make objects may carry one supplementary group.
    package static let createSupplementaryGroup: UInt64 = 1 << 34
    package static let hasExpireOnly: UInt64 = 1 << 35
    package static let directIOAllowMmap: UInt64 = 1 << 36
    package static let passthrough: UInt64 = 1 << 37
    package static let noExportSupport: UInt64 = 1 << 38
    package static let hasResend: UInt64 = 1 << 39
    package static let allowIdmap: UInt64 = 1 << 40
    package static let overIOUring: UInt64 = 1 << 41
    package static let requestTimeout: UInt64 = 1 << 42
}
