// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors

extension DaemonOptions {
    mutating func setLimits(_ arguments: LimitArguments) throws(StartupError) {
        share.limits.openFiles = try count(arguments.limitOpenFiles, "--limit-open-files")
        share.limits.inodes = try count(arguments.limitInodes, "--limit-inodes")
        requestLimits.inFlight = try count(arguments.limitInFlight, "--limit-in-flight")
        // One place is for whoever gives the lock back.
        share.limits.waitingLocks = requestLimits.inFlight.map { $0 - 1 }
        requestLimits.bytesPerSecond = try quantity(arguments.limitBytesPerSecond, "--limit-bytes-per-second")
        requestLimits.requestsPerSecond =
            try quantity(arguments.limitRequestsPerSecond, "--limit-requests-per-second")
    }

    private func count(_ value: String?, _ option: String) throws(StartupError) -> Int? {
        guard let number = try quantity(value, option) else { return nil }
        return Int(clamping: number)
    }

    private func quantity(_ value: String?, _ option: String) throws(StartupError) -> UInt64? {
        guard let value else { return nil }
        return try parseQuantity(value, option: option)
    }
}

/// A number from 1 to 2^40, with K, M or G behind it for 1024, its square and its cube.
func parseQuantity(_ value: String, option: String) throws(StartupError) -> UInt64 {
    let factors: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let factor = value.last.flatMap { factors[$0] }
    let digits = factor == nil ? value[...] : value.dropLast()
    let isDigits = !digits.isEmpty && digits.utf8.allSatisfy { 0x30...0x39 ~= $0 }
    let product = UInt64(digits).map { $0.multipliedReportingOverflow(by: factor ?? 1) }
    guard isDigits, let product, !product.overflow, 1...1 << 40 ~= product.partialValue else {
        throw StartupError(
            operation: "use", subject: spelling(option, value),
            reason: isDigits ? "the number is out of range" : "not a number",
            hint: "give a number from 1 to 1024G, such as 500, 64K or 100M")
    }
    return product.partialValue
}
