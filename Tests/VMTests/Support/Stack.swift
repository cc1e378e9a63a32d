// SPDX-License-Identifier: Apache-2.0
import Guest
import Testing

/// A machine and its kernel.
enum Stack: String, CustomTestStringConvertible {
    case stock = "QEMU 7.2 with Linux 6.1"
    case lab = "QEMU 11.1 with Linux 7.3"
    /// What a DAX window needs, with an older guest.
    case labQemu = "QEMU 11.1 with Linux 6.1"
    case uml = "UML 6.1"

    var testDescription: String { rawValue }

    var configuration: GuestConfiguration {
        switch self {
        case .stock: return GuestConfiguration()
        case .lab: return Lab.configuration
        case .labQemu:
            var configuration = GuestConfiguration()
            configuration.program = Lab.qemu
            return configuration
        case .uml:
            var configuration = GuestConfiguration()
            configuration.machine = .uml
            return configuration
        }
    }
}
