// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// Every C and Swift target sees glibc with the same feature macros, or the clang importer finds two glibcs.
let gnu: [CSetting] = [.define("_GNU_SOURCE")]

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]
let relaxed: [SwiftSetting] = [.swiftLanguageMode(.v6)]

/// A room of ARCHITECTURE.md: a library target and the tests that mirror its files.
func room(_ name: String, _ imports: [Target.Dependency] = [], tests: [Target.Dependency] = []) -> [Target] {
    [
        .target(name: name, dependencies: imports, cSettings: gnu, swiftSettings: strict),
        .testTarget(
            name: name + "Tests", dependencies: [.init(stringLiteral: name)] + imports + tests,
            cSettings: gnu, swiftSettings: relaxed),
    ]
}

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

var targets: [Target] = [
    .target(name: "CLinux", cSettings: gnu),
    .systemLibrary(name: "CCapNG"),
    .systemLibrary(name: "CSeccomp"),
    // For tests only: whatever links it has its own malloc.
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter", cSettings: gnu),
    .target(name: "FilteredChild", path: "Tests/FilteredChild", cSettings: gnu),
    .target(name: "SystemCallLog", path: "Tests/SystemCallLog", cSettings: gnu),
    // What tests of messages are made of.
    .target(
        name: "MessageTools", dependencies: ["HostOS"], path: "Tests/MessageTools", cSettings: gnu,
        swiftSettings: relaxed),
    // The client's side of vfio-user, for tests of what a session serves.
    .target(
        name: "VfioClient", dependencies: ["VfioUser", "HostOS", "Errors"], path: "Tests/VfioClient",
        cSettings: gnu, swiftSettings: relaxed),
]
targets += room("Errors")
targets += room("HostOS", ["CLinux", "Errors"])
targets += room(
    "Sandbox", ["CCapNG", "CSeccomp", "CLinux", "Errors", "HostOS"], tests: ["FilteredChild", "sandboxprobe"])
targets.append(
    .executableTarget(
        name: "sandboxprobe", dependencies: ["Sandbox", "CLinux", "Errors", "HostOS"],
        path: "Tests/SandboxProbe", cSettings: gnu, swiftSettings: relaxed))
targets += room("Coherence", ["CLinux", "Errors", "HostOS"])
targets += room("HostWatch", ["CLinux", "Coherence", "Errors", "HostOS", "Sandbox"])
targets += room("GuestAgent", ["CLinux", "Coherence", "Errors", "HostOS"])
targets += room("StateArena", ["CLinux", "Errors", "HostOS"])
targets += room("GuestMemory", ["CLinux", "Errors", "HostOS"])
targets += room("Virtqueue", ["CLinux", "Errors", "GuestMemory"], tests: ["HostOS"])
targets += room(
    "VhostUser", ["CLinux", "Errors", "Virtqueue", "GuestMemory", "HostOS"], tests: ["MessageTools"])
targets += room("VfioUser", ["CLinux", "Errors", "HostOS"], tests: ["MessageTools", "VfioClient"])
targets += room("FuseWire")
targets += room("FuseServer", ["Errors", "FuseWire"])
targets += room(
    "MappableFiles", ["CLinux", "Errors", "FuseWire", "HostOS", "Sandbox"], tests: ["filesprobe"])
targets.append(
    .executableTarget(
        name: "filesprobe", dependencies: ["MappableFiles", "Sandbox", "CLinux", "Errors", "HostOS"],
        path: "Tests/FilesProbe", cSettings: gnu, swiftSettings: relaxed))
targets += room(
    "HostFS", ["CLinux", "Coherence", "Errors", "FuseServer", "FuseWire", "StateArena", "HostOS"])
targets += room(
    "Frontend",
    ["CLinux", "Coherence", "Errors", "VhostUser", "Virtqueue", "GuestMemory", "FuseWire", "HostOS"],
    tests: ["AllocationCounter", "Guest"])
targets += room(
    "Backend",
    [
        "CLinux", "Errors", "VhostUser", "Virtqueue", "GuestMemory", "FuseServer", "FuseWire", "StateArena",
        "HostOS",
    ],
    tests: ["Frontend", "HostFS", "AllocationCounter", "SystemCallLog", "virtiofsd"])
targets += room(
    "PciDevice",
    [
        "CLinux", "Errors", "Frontend", "VfioUser", "VhostUser", "Virtqueue", "GuestMemory", "FuseWire",
        "HostOS",
    ], tests: ["Guest", "VfioClient", "virtiofs", "virtiofsd"])
targets += room("Guest", ["CLinux", "Errors", "HostOS"])
targets += room(
    "Bench",
    [
        "CLinux", "Errors", "Frontend", "Guest", "VhostUser", "Virtqueue", "GuestMemory", "FuseWire",
        "HostOS",
    ], tests: ["AllocationCounter", "virtiofs", "virtiofsd"])
targets += room("Conformance", ["CLinux", "Coherence", "Errors", "HostOS"])
targets += [
    .executableTarget(
        name: "virtiofsd",
        dependencies: [
            "Errors", "Backend", "Coherence", "HostFS", "HostWatch", "MappableFiles", "Sandbox",
            "StateArena", "VhostUser", "HostOS", arguments, logging,
        ],
        cSettings: gnu, swiftSettings: strict),
    .testTarget(
        name: "virtiofsdTests",
        dependencies: [
            "virtiofsd", "Backend", "CLinux", "Coherence", "Errors", "FuseWire", "Frontend", "HostFS",
            "HostOS",
            "Sandbox", logging,
        ],
        cSettings: gnu,
        swiftSettings: relaxed),
    .executableTarget(
        name: "virtiofs",
        dependencies: [
            "CLinux", "Coherence", "Errors", "Bench", "Frontend", "Guest", "PciDevice", "HostOS", arguments,
            logging,
        ],
        cSettings: gnu, swiftSettings: strict),
    // Runs in guests: scripts/build-agent links it with all that it needs.
    .executableTarget(
        name: "virtiofs-agent", dependencies: ["GuestAgent", "Errors", "HostOS", arguments],
        cSettings: gnu, swiftSettings: strict),
    // Few libraries: it is copied into guests together with them.
    .executableTarget(
        name: "conformance", dependencies: ["Conformance"], cSettings: gnu, swiftSettings: strict),
    // What files are expected to do, through a mount of each daemon.
    .testTarget(
        name: "MountConformanceTests",
        dependencies: ["virtiofs", "virtiofsd", "conformance", "Conformance", "Errors", "Guest", "HostOS"],
        cSettings: gnu, swiftSettings: relaxed),
    .testTarget(
        name: "virtiofsTests", dependencies: ["virtiofs", "virtiofsd", "Errors", "Guest", "HostOS"],
        cSettings: gnu, swiftSettings: relaxed),
    // Files in the DAX window of the daemon as it is built, without a virtual machine.
    .testTarget(
        name: "DAXTests",
        dependencies: [
            "virtiofsd", "CLinux", "Errors", "Frontend", "FuseWire", "Guest", "GuestMemory", "HostOS",
            "VhostUser", "Virtqueue",
        ], cSettings: gnu, swiftSettings: relaxed),
    // What a hostile guest tries, on the daemon as it is built and on the Rust one.
    .testTarget(
        name: "HostileTests",
        dependencies: [
            "virtiofsd", "CLinux", "Errors", "Frontend", "FuseWire", "Guest", "GuestMemory", "HostOS",
            "VhostUser",
            "Virtqueue",
        ], cSettings: gnu, swiftSettings: relaxed),
    // The daemon in real guests.
    .testTarget(
        name: "VMTests",
        dependencies: [
            "virtiofs", "virtiofsd", "conformance", "Conformance", "CLinux", "Errors", "Guest", "HostOS",
            "MessageTools",
        ],
        exclude: ["Scenarios"], cSettings: gnu, swiftSettings: relaxed),
]

var products: [Product] = [
    .executable(name: "virtiofsd", targets: ["virtiofsd"]),
    .executable(name: "virtiofs", targets: ["virtiofs"]),
    .executable(name: "virtiofs-agent", targets: ["virtiofs-agent"]),
    .executable(name: "conformance", targets: ["conformance"]),
]

// What the fuzzers do with an input; `swift test` does it with all seeds and past crashes.
targets += [
    .target(
        name: "FuzzTargets",
        dependencies: [
            "virtiofsd", "Backend", "CLinux", "Errors", "FuseServer", "FuseWire", "GuestMemory", "HostFS",
            "HostOS", "PciDevice", "StateArena", "VfioClient", "VfioUser", "VhostUser", "Virtqueue",
        ], path: "Fuzz/Targets", cSettings: gnu, swiftSettings: relaxed),
    .testTarget(
        name: "FuzzTests", dependencies: ["FuzzTargets", "Errors"], cSettings: gnu, swiftSettings: relaxed),
]

// scripts/sanitize thread: in each program once. All tests are one.
if Context.environment["VFS_SANITIZE"] == "thread" {
    targets.append(
        .target(
            name: "MutexForThreadSanitizer", path: "Tests/MutexForThreadSanitizer", cSettings: gnu,
            linkerSettings: [.linkedLibrary("dl")]))
    for target in targets where ["BackendTests", "filesprobe", "virtiofsd", "virtiofs"].contains(target.name)
    {
        target.dependencies.append("MutexForThreadSanitizer")
    }
}

// scripts/fuzz: everything with libFuzzer's and the address sanitizer's marks, and the program that drives it.
if Context.environment["VFS_FUZZ"] == "1" {
    let marks = ["-sanitize=fuzzer,address"]
    // The daemon's command line is read in its program, which another program can only have as a library.
    targets.removeAll { $0.name == "virtiofsd" }
    targets.append(
        .target(
            name: "virtiofsd",
            dependencies: [
                "Errors", "Backend", "Coherence", "HostFS", "HostWatch", "MappableFiles", "Sandbox",
                "StateArena", "VhostUser", "HostOS", arguments, logging,
            ], exclude: ["Main.swift"], cSettings: gnu, swiftSettings: strict))
    for target in targets where target.type == .regular {
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(marks)]
        target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link,address"])]
    }
    targets += [
        .target(name: "CFuzz", path: "Fuzz/CFuzz"),
        .executableTarget(
            name: "fuzz", dependencies: ["CFuzz", "FuzzTargets", "HostOS"], path: "Fuzz/Driver",
            cSettings: gnu,
            swiftSettings: relaxed + [.unsafeFlags(marks)],
            linkerSettings: [.unsafeFlags(marks + ["-use-ld=lld"])]),
    ]
    products = [.executable(name: "fuzz", targets: ["fuzz"])]
}

let package = Package(
    name: "swift-virtiofs",
    products: products,
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: targets
)
