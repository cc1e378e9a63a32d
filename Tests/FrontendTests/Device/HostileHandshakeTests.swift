// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import HostOS
import Testing
import VhostUser

/// Whatever a back-end answers to a message of the handshake, connecting ends with an error.
@Suite struct HostileHandshakeTests {
    enum Mischief: CaseIterable {
        case otherRequest, noReplyFlag, needReplyFlag, wrongVersion, hugeSize, shortPayload, longPayload
        case noPayload, withDescriptor, tooManyDescriptors, random, halfHeader, halfPayload, hangUp, silence

        func perform(_ connection: Connection, _ header: MessageHeader, _ size: Int) throws {
            func send(
                request: UInt32? = nil, flags: UInt32 = 5, size announced: UInt32? = nil, count: Int? = nil,
                files: [Int32] = []
            ) throws {
                let payload = [UInt8](repeating: 0, count: count ?? size)
                let start = MessageHeader(
                    request: request ?? header.request, flags: MessageFlags(rawValue: flags),
                    payloadByteCount: announced ?? UInt32(payload.count))
                try connection.send(start.encoded + payload, descriptors: files)
            }
            switch self {
            case .otherRequest: try send(request: header.request + 1)
            case .noReplyFlag: try send(flags: 1)
            case .needReplyFlag: try send(flags: 13)
            case .wrongVersion: try send(flags: 6)
            case .hugeSize: try send(size: .max)
            case .shortPayload: try send(count: size - 1)
            case .longPayload: try send(count: size + 1)
            case .noPayload: try send(count: 0)
            case .withDescriptor: try send(files: [0])
            case .tooManyDescriptors: try send(files: [Int32](repeating: 0, count: 9))
            case .random:
                try connection.send((0..<64).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) })
            case .halfHeader:
                try connection.send(
                    Array(MessageHeader(request: 1, flags: .answer, payloadByteCount: 8).encoded.prefix(7)))
                throw Errno.EPIPE  // and hangs up
            case .halfPayload:
                try send(count: size / 2)
                throw Errno.EPIPE
            case .hangUp: throw Errno.EPIPE
            case .silence: break
            }
        }

        /// What the front-end says of it, where that is one thing for all requests.
        var error: VhostUserError? {
            switch self {
            case .wrongVersion: .wrongVersion(flags: 6)
            case .hugeSize: .payloadTooLarge(.max)
            case .withDescriptor: .descriptorCount(1)
            case .tooManyDescriptors: .tooManyDescriptors
            case .noPayload: .payloadSize(0)
            case .halfHeader: .truncatedMessage
            case .hangUp: .disconnected
            case .silence: .timedOut
            default: nil
            }
        }
    }

    /// Every message that is answered, and the size of its answer.
    static let questions: [(FrontendRequest, Int)] = [
        (.getFeatures, 8), (.getProtocolFeatures, 8), (.setOwner, 8), (.getQueueCount, 8), (.setFeatures, 8),
        (.getSharedMemorySizes, 2056), (.setBackendChannel, 8), (.addMemoryRegion, 8), (.setVringError, 8),
        (.setVringSize, 8), (.setVringBase, 8), (.setVringAddresses, 8), (.setVringKick, 8),
        (.setVringCall, 8), (.setVringEnable, 8),
    ]

    private func connect(_ plan: FakeBackend.Plan, timeout: Int32 = 20_000) throws -> VhostUserError? {
        let backend = try FakeBackend(plan)
        var options = FrontendOptions()
        options.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
        options.replyTimeout = timeout
        do {
            _ = try backend.connect(options)
            return nil
        } catch let error as VhostUserError {
            return error
        }
    }

    @Test func nothingOddIsNoError() throws {
        #expect(try connect(FakeBackend.Plan()) == nil)
    }

    @Test(arguments: HostileHandshakeTests.questions, Mischief.allCases)
    func anOddAnswer(question: (FrontendRequest, Int), mischief: Mischief) throws {
        var plan = FakeBackend.Plan()
        plan.odd = question.0
        let size = question.1
        plan.answer = { try mischief.perform($0, $1, size) }
        let error = try connect(plan, timeout: mischief == .silence ? 100 : 20_000)
        #expect(error != nil)
        if let expected = mischief.error { #expect(error == expected) }
    }

    @Test(arguments: HostileHandshakeTests.questions.filter { $0.0.rawValue > 1 && !$0.0.hasReplyBody })
    func aRefusal(question: (FrontendRequest, Int)) throws {
        var plan = FakeBackend.Plan()
        plan.odd = question.0
        plan.answer = {
            try $0.send(request: $1.request, flags: .answer, payload: UInt64(7).encodedPayload)
        }
        #expect(try connect(plan) == .negativeReply(7))
    }

    @Test func featuresAndQueuesThatAreMissing() throws {
        var plan = FakeBackend.Plan()
        plan.features = [.protocolFeatures]
        #expect(try connect(plan) == .legacyDevice)
        plan = FakeBackend.Plan()
        plan.queues = 1
        #expect(try connect(plan) == .tooFewQueues(wanted: 1, offered: 0))
        plan.queues = 0
        #expect(try connect(plan) == .tooFewQueues(wanted: 1, offered: 0))
        plan.queues = .max
        #expect(try connect(plan) == nil)
        plan = FakeBackend.Plan()
        plan.protocolFeatures = []
        #expect(try connect(plan) == nil, "one queue without any extension")
        plan.features = [.version1]
        #expect(try connect(plan) == nil, "nor the bit that announces them")
        let backend = try FakeBackend(plan)
        var options = FrontendOptions()
        options.requestQueues = 2
        #expect(throws: VhostUserError.tooFewQueues(wanted: 2, offered: 1)) {
            try backend.connect(options)
        }
        #expect(
            "\(VhostUserError.tooFewQueues(wanted: 2, offered: 1))"
                == "the peer has 1 request queue, 2 are wanted")
    }

    @Test func impossibleWindows() throws {
        var plan = FakeBackend.Plan()
        for sizes: [UInt64] in [[.max], [4095], [1 << 62, 1 << 62], [1 << 40, 4096]] {
            plan.sizes = sizes
            #expect(try connect(plan) == .invalidValue)
        }
        plan.sizes = []
        #expect(try connect(plan) == nil)
    }
}
