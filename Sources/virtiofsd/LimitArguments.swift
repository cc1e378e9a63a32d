// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// How much of the host a guest may use.
struct LimitArguments: ParsableArguments {
    @Option(
        help: .init("At most N files and directories open at a time; one more is ENFILE.", valueName: "N"))
    var limitOpenFiles: String?

    @Option(
        help: .init(
            "The guest may know at most N files and directories at a time; one more is ENFILE.",
            valueName: "N"))
    var limitInodes: String?

    @Option(
        help: .init(
            """
            At most N requests under way at a time, those included that wait for a disk or a lock. Others stay in the \
            guest's queue; a lock request that would take the last place to wait in is EAGAIN.
            """, valueName: "N"))
    var limitInFlight: String?

    @Option(
        help: .init(
            "At most N bytes of requests and replies a second, with K, M or G for 1024s. More wait in the guest's queue.",
            valueName: "N"))
    var limitBytesPerSecond: String?

    @Option(help: .init("The same for requests of any size. FORGETs are free.", valueName: "N"))
    var limitRequestsPerSecond: String?
}
