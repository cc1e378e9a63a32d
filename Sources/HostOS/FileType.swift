// SPDX-License-Identifier: Apache-2.0

/// S_IFMT and its values as plain numbers, which Glibc has in two types at once.
public enum FileType {
    public static let mask: UInt32 = 0o170000
    public static let regular: UInt32 = 0o100000
    public static let directory: UInt32 = 0o040000
    public static let symbolicLink: UInt32 = 0o120000
}
