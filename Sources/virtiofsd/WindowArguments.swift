// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// DAX: docs/dax.md.
struct WindowArguments: ParsableArguments {
    @Option(
        help: .init(
            """
            Offer a DAX window of this size, through which guests access files as memory, in the host's page cache: a power of two, 2M to \
            512M. For VMMs that map files for the daemon (QEMU 11 with vhost-user-test-device-pci, crosvm, virtiofs mount), with \
            --tag. Default: none.
            """, valueName: "SIZE"))
    var daxWindow: String?

    @Option(
        help: .init(
            "Files below this size are read and written by requests (default: 1M). Not for guests that mount with dax=always.",
            valueName: "SIZE"))
    var daxMinSize: String?

    @Flag(
        help: """
            The VMM maps descriptors that are only open for reading, so that a --readonly share can have a window. QEMU 11.1 does not.
            """)
    var daxReadOnly = false

    @Option(
        help: .init(
            """
            How the VMM is asked to map. shmem (default): as the vhost-user specification says. fs-map, fs-map-list: as the virtio-fs \
            developers' QEMU of 2018 to 2020, and of 2021, wants it.
            """, valueName: "shmem|fs-map|fs-map-list"))
    var daxMessages: String?
}
