// SPDX-License-Identifier: Apache-2.0

/// FUSE_INIT flags: `flags` of INIT in the low half, `flags2` in the high half.
public enum InitFlags {
    public static let asyncRead: UInt64 = 1 << 0
    public static let posixLocks: UInt64 = 1 << 1
    public static let fileOps: UInt64 = 1 << 2
    public static let atomicTruncate: UInt64 = 1 << 3
    /// LOOKUP of "." and ".." by nodeid, for NFS export in the guest.
    public static let exportSupport: UInt64 = 1 << 4
    public static let bigWrites: UInt64 = 1 << 5
    /// The guest does not apply its umask; the file system does.
    public static let dontMask: UInt64 = 1 << 6
    public static let spliceWrite: UInt64 = 1 << 7
    public static let spliceMove: UInt64 = 1 << 8
    public static let spliceRead: UInt64 = 1 << 9
    public static let flockLocks: UInt64 = 1 << 10
    public static let hasIoctlDir: UInt64 = 1 << 11
    public static let autoInvalidateData: UInt64 = 1 << 12
    public static let doReaddirplus: UInt64 = 1 << 13
    public static let readdirplusAuto: UInt64 = 1 << 14
    public static let asyncDirectIO: UInt64 = 1 << 15
    public static let writebackCache: UInt64 = 1 << 16
    /// An answer of the guest only: ENOSYS to OPEN means "no need to ask".
    public static let noOpenSupport: UInt64 = 1 << 17
    public static let parallelDirectoryOps: UInt64 = 1 << 18
    public static let handleKillPriv: UInt64 = 1 << 19
    public static let posixACL: UInt64 = 1 << 20
    public static let abortError: UInt64 = 1 << 21
    public static let maxPages: UInt64 = 1 << 22
    public static let cacheSymlinks: UInt64 = 1 << 23
    /// The same for OPENDIR.
    public static let noOpendirSupport: UInt64 = 1 << 24
    public static let explicitInvalidateData: UInt64 = 1 << 25
    public static let mapAlignment: UInt64 = 1 << 26
    public static let submounts: UInt64 = 1 << 27
    public static let handleKillPrivV2: UInt64 = 1 << 28
    /// `SetXattrIn` is 16 bytes long, not 8.
    public static let setxattrExtended: UInt64 = 1 << 29
    /// `flags2` is meant.
    public static let initExtended: UInt64 = 1 << 30
    /// Requests that make objects carry a `fuse_secctx`.
    public static let securityContext: UInt64 = 1 << 32
    public static let hasInodeDAX: UInt64 = 1 << 33
    /// Requests that make objects may carry one supplementary group.
    public static let createSupplementaryGroup: UInt64 = 1 << 34
    public static let hasExpireOnly: UInt64 = 1 << 35
    public static let directIOAllowMmap: UInt64 = 1 << 36
    public static let passthrough: UInt64 = 1 << 37
    public static let noExportSupport: UInt64 = 1 << 38
    public static let hasResend: UInt64 = 1 << 39
    public static let allowIdmap: UInt64 = 1 << 40
    public static let overIOUring: UInt64 = 1 << 41
    public static let requestTimeout: UInt64 = 1 << 42
}
