// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Guest

@Suite struct KernelModulesTests {
    private let dependencies = """
        kernel/fs/fuse/fuse.ko.xz:
        kernel/fs/fuse/virtiofs.ko.xz: kernel/drivers/virtio/virtio.ko.xz kernel/drivers/virtio/virtio_ring.ko.xz kernel/fs/fuse/fuse.ko.xz
        kernel/drivers/virtio/virtio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz
        kernel/drivers/virtio/virtio_ring.ko.xz:
        kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko.xz

        """

    @Test func eachModuleComesAfterWhatItNeeds() throws {
        let modules = KernelModules(dependencies: dependencies, builtin: "")
        #expect(
            try modules.loadOrder(["virtiofs"]) == [
                "kernel/drivers/virtio/virtio_ring.ko.xz", "kernel/drivers/virtio/virtio.ko.xz",
                "kernel/fs/fuse/fuse.ko.xz", "kernel/fs/fuse/virtiofs.ko.xz",
            ])
    }

    @Test func nothingIsLoadedTwiceAndBuiltinOnesNotAtAll() throws {
        let builtin = "kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio_ring.ko\n"
        let modules = KernelModules(dependencies: dependencies, builtin: builtin)
        #expect(
            try modules.loadOrder(["virtio_rng", "fuse", "virtiofs", "virtio"]) == [
                "kernel/drivers/char/hw_random/virtio-rng.ko", "kernel/fs/fuse/fuse.ko.xz",
                "kernel/fs/fuse/virtiofs.ko.xz",
            ])
    }

    @Test func missingModuleIsNamed() {
        let modules = KernelModules(dependencies: dependencies, builtin: "")
        #expect(throws: MissingModule(name: "virtio_pci")) { try modules.loadOrder(["fuse", "virtio_pci"]) }
    }

    @Test func circleEnds() throws {
        let modules = KernelModules(dependencies: "a/x.ko: a/y.ko\na/y.ko: a/x.ko\n", builtin: "")
        #expect(try modules.loadOrder(["x"]) == ["a/y.ko", "a/x.ko"])
    }

    @Test(arguments: [
        ("kernel/drivers/char/hw_random/virtio-rng.ko", "virtio_rng"), ("virtiofs.ko.zst", "virtiofs"),
        ("", ""),
    ])
    func names(path: String, name: String) {
        #expect(KernelModules.name(ofPath: path) == name)
    }
}
