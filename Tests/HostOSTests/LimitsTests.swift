// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

@Suite struct LimitsTests {
    @Test func theDescriptorLimitCanBeReadAndSetToWhatItIs() throws {
        let now = try DescriptorLimit.current()
        #expect(now.soft > 0 && now.soft <= now.hard)
        try now.apply()
        #expect(try DescriptorLimit.current() == now)
    }

    @Test func aSoftLimitAboveTheHardOneIsRefused() throws {
        let now = try DescriptorLimit.current()
        guard now.hard < .max else { return }
        #expect(throws: Errno.EINVAL) { try DescriptorLimit(soft: now.hard + 1, hard: now.hard).apply() }
    }

    @Test func atLeastOneCPU() {
        #expect(usableCPUs() >= 1)
        #expect(usableCPUs() <= sysconf(Int32(_SC_NPROCESSORS_CONF)))
    }

    @Test func kernelNumbers() {
        #expect((readKernelNumber("/proc/sys/fs/nr_open") ?? 0) >= 1024)
        #expect(readKernelNumber("/proc/sys/kernel/ostype") == nil)  // "Linux"
        #expect(readKernelNumber("/nonexistent") == nil)
    }

    @Test func aCollectedSignalIsReadAndNotDelivered() throws {
        let signals = try SignalDescriptor(collecting: [SIGUSR2])
        #expect(signals.next() == nil)
        pthread_kill(pthread_self(), SIGUSR2)
        #expect(waitReadable(signals.descriptor.rawValue, timeoutMilliseconds: 5000) == 1)
        #expect(signals.next() == SIGUSR2)
        #expect(signals.next() == nil)
    }
}
