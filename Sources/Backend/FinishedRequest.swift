// SPDX-License-Identifier: Apache-2.0

/// A request that left its worker and was answered elsewhere: the reply is in guest memory, and the worker, which owns the
/// ring, gives the chain back.
struct FinishedRequest: Sendable {
    /// Number of the virtqueue.
    let ring: Int
    let head: UInt16
    /// How many bytes of reply were written.
    let written: Int
}
