// SPDX-License-Identifier: Apache-2.0

/// A dictionary of bounded size, which forgets what has not been asked for lately.
struct RecentTable<Key: Hashable, Value> {
    private let limit: Int
    private var young: [Key: Value] = [:]
    /// Those that were young when there were last too many; they go when that happens again.
    private var old: [Key: Value] = [:]

    /// - Parameter limit: of keys, 2 or more.
    init(limit: Int) { self.limit = limit }

    var count: Int { young.count + old.count }

    subscript(key: Key) -> Value? {
        mutating get {
            if let value = young[key] { return value }
            guard let value = old.removeValue(forKey: key) else { return nil }
            store(key, value)
            return value
        }
        set {
            old[key] = nil
            guard let newValue else {
                young[key] = nil
                return
            }
            store(key, newValue)
        }
    }

    private mutating func store(_ key: Key, _ value: Value) {
        if young.count >= limit / 2, young[key] == nil {
            old = young
            young = [:]
        }
        young[key] = value
    }

    mutating func removeAll() {
        young = [:]
        old = [:]
    }
}
