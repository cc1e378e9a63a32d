// SPDX-License-Identifier: Apache-2.0

/// What the extended attributes of the guest are called on the host (`--xattrmap`): rules in order, of which the first counts
/// that names the beginning of a name. Some rule matches every name.
package struct XattrMap: Equatable, Sendable {
    enum Effect: Equatable, Sendable {
        /// The host's name has `prepend` before the guest's.
        case prefix
        /// Both have the same name.
        case ok
        /// The guest may not: EPERM. Of the host's names: hidden.
        case bad
        /// The guest's kernel shall think that there are none: EOPNOTSUPP. Of the host's names: hidden.
        case unsupported
    }

    struct Rule: Equatable, Sendable {
        let effect: Effect
        /// Matches names that the guest asks for, by `key`.
        let isForGuest: Bool
        /// Matches names that the host lists, by `prepend`.
        let isForHost: Bool
        let key: [UInt8]
        let prepend: [UInt8]
    }

    let rules: [Rule]

    /// What a name that the guest asks for means.
    package enum HostName: Equatable {
        /// So many bytes, which `hostName` has put into its buffer.
        case mapped(Int)
        /// The guest's own name.
        case same
        case bad
        case unsupported
        /// Longer than an attribute's name can be.
        case tooLong
    }

    /// XATTR_NAME_MAX of Linux.
    package static let maximumByteCount = 255

    /// - Parameters:
    ///   - name: what the guest asks for, without a NUL.
    ///   - buffer: at least `maximumByteCount` bytes.
    package func hostName(of name: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer)
        -> HostName
    {
        for rule in rules where unsafe rule.isForGuest && begins(name, with: rule.key) {
            switch rule.effect {
            case .ok: return .same
            case .bad: return .bad
            case .unsupported: return .unsupported
            case .prefix:
                if rule.prepend.isEmpty { return .same }
                let count = rule.prepend.count + name.count
                guard count <= Self.maximumByteCount, count <= buffer.count else { return .tooLong }
                unsafe buffer.copyBytes(from: rule.prepend)
                unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[rule.prepend.count...])
                    .copyMemory(from: name)
                return .mapped(count)
            }
        }
        return .bad  // some rule matches every name
    }

    /// How many bytes at the beginning of a name that the host lists are not the guest's; nil: the guest does not see it.
    ///
    /// - Parameter name: without a NUL.
    package func strippedByteCount(of name: UnsafeRawBufferPointer) -> Int? {
        for rule in rules where unsafe rule.isForHost && begins(name, with: rule.prepend) {
            switch rule.effect {
            case .ok: return 0
            case .bad, .unsupported: return nil
            // A name that is nothing but the prefix has no name in the guest.
            case .prefix: return rule.prepend.count < name.count ? rule.prepend.count : nil
            }
        }
        return nil
    }

    private func begins(_ name: UnsafeRawBufferPointer, with beginning: [UInt8]) -> Bool {
        unsafe name.count >= beginning.count && name.prefix(beginning.count).elementsEqual(beginning)
    }

    /// The host's name for one of the guest's, where they differ.
    func otherName(of name: [UInt8]) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: Self.maximumByteCount)
        let found = unsafe name.withUnsafeBytes { name in
            unsafe buffer.withUnsafeMutableBytes { unsafe hostName(of: name, into: $0) }
        }
        guard case .mapped(let count) = found else { return nil }
        return Array(buffer[..<count])
    }

    /// Beginnings of names on the host that attributes of the guest can get.
    package var targets: [[UInt8]] { rules.filter { $0.isForGuest && $0.effect == .prefix }.map(\.prepend) }
}
