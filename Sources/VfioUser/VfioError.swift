// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// Why a connection is over. What is wrong with one command only is told to the client as an `Errno`.
package enum VfioError: Error, Equatable, Sendable {
    /// The client closed the connection between two messages: an ordinary end.
    case disconnected
    /// The client closed the connection inside a message.
    case truncatedMessage
    /// A message began and did not end in time, or a reply was not read.
    case timedOut
    /// The header announces less than itself, or more than any message has.
    case messageSize(UInt32)
    /// More descriptors than a message carries.
    case tooManyDescriptors
    /// A reply, though nothing was asked.
    case unexpectedReply(command: UInt16)
    /// The socket itself failed.
    case system(Errno)

    /// What ended a message that had begun.
    init(inMessage failure: MessageFailure) {
        self =
            switch failure {
            case .ended: .truncatedMessage
            case .timedOut: .timedOut
            case .tooManyDescriptors: .tooManyDescriptors
            case .system(let error): .system(error)
            }
    }
}

extension VfioError: CustomStringConvertible {
    /// The reason as a log line's last part.
    package var description: String {
        switch self {
        case .disconnected: "the client has disconnected"
        case .truncatedMessage: "the client disconnected inside a message"
        case .timedOut: "the client kept us waiting"
        case .messageSize(let size): "a message of \(size) bytes"
        case .tooManyDescriptors:
            "more than \(MessageHeader.maximumDescriptorCount) descriptors in a message"
        case .unexpectedReply(let command): "a reply to command \(command), which was not sent"
        case .system(let error): "the socket failed with error \(error.rawValue)"
        }
    }
}
