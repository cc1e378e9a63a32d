// SPDX-License-Identifier: Apache-2.0

/// What a kernel's /lib/modules/VERSION says about its modules: which file holds each, what it needs, what is built in.
package struct KernelModules {
    /// Paths as modules.dep has them, by module name.
    private var files: [String: String] = [:]
    private var needs: [String: [String]] = [:]
    private var builtin: Set<String> = []

    /// - Parameters:
    ///   - dependencies: the text of modules.dep: "path: path path…" in each line.
    ///   - builtin: the text of modules.builtin: a path in each line.
    package init(dependencies: String, builtin: String) {
        for line in dependencies.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard let path = parts.first else { continue }
            let name = Self.name(ofPath: path)
            files[name] = String(path)
            needs[name] = parts.count < 2 ? [] : parts[1].split(separator: " ").map { Self.name(ofPath: $0) }
        }
        self.builtin = Set(builtin.split(separator: "\n").map { Self.name(ofPath: $0) })
    }

    /// The module name of ".../virtio-rng.ko.xz" is "virtio_rng": modprobe treats both spellings as one.
    package static func name(ofPath path: some StringProtocol) -> String {
        let file = path.split(separator: "/").last ?? ""
        return String(file.prefix { $0 != "." }.map { $0 == "-" ? "_" : $0 })
    }

    /// The files to load, each after all it needs, so that `wanted` are there; built-in ones are left out.
    ///
    /// - Throws: `MissingModule` for one that is neither a file nor built in.
    package func loadOrder(_ wanted: [String]) throws(MissingModule) -> [String] {
        var order: [String] = []
        var seen: Set<String> = []
        for name in wanted { try visit(name, &order, &seen) }
        return order
    }

    private func visit(_ name: String, _ order: inout [String], _ seen: inout Set<String>)
        throws(MissingModule)
    {
        if builtin.contains(name) || !seen.insert(name).inserted { return }
        guard let file = files[name] else { throw MissingModule(name: name) }
        for need in needs[name] ?? [] { try visit(need, &order, &seen) }
        order.append(file)
    }
}

/// A kernel has a module neither as a file nor built in.
package struct MissingModule: Error, Equatable {
    package let name: String
}
