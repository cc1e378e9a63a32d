// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Makes `path` a program that only waits, runs it during `body`, and ends it.
func whileRunning(_ path: Path, _ body: () throws -> Void) throws {
    guard let image = waitingProgram else { throw Unsupported("no program for this kind of processor") }
    try make(file: path, holding: image, mode: 0o755)
    let child: ChildProcess
    do throws(Errno) {
        child = try ChildProcess(
            program: String(decoding: path.bytes, as: UTF8.self), arguments: [], environment: [],
            descriptors: [])
    } catch .EACCES {
        throw Unsupported("programs cannot run here (EACCES)")
    } catch { throw Failure("execve(\(path)) gave \(name(of: error)), expected success") }
    do { try body() } catch {
        child.stop(graceMilliseconds: 1000)
        throw error
    }
    child.stop(graceMilliseconds: 1000)
}

/// An ELF image of 120 bytes of headers and one function, which waits for a signal for ever. It needs no library, so it
/// runs wherever a check does.
private let waitingProgram: [UInt8]? = {
    #if arch(x86_64)
    let machine: UInt16 = 62
    // mov $34 (pause), %eax; syscall; jmp to the start
    let code: [UInt8] = [0xB8, 0x22, 0, 0, 0, 0x0F, 0x05, 0xEB, 0xF7]
    #elseif arch(arm64)
    let machine: UInt16 = 183
    // mov x0..x3, #0; mov x8, #73 (ppoll); svc #0; b to the start
    let words: [UInt32] = [
        0xD280_0000, 0xD280_0001, 0xD280_0002, 0xD280_0003, 0xD280_0928, 0xD400_0001, 0x17FF_FFFA,
    ]
    let code = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
    #else
    return nil
    #endif
    func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<MemoryLayout<Value>.size).map { UInt8(truncatingIfNeeded: value >> (8 * Value($0))) }
    }
    let base: UInt64 = 0x40_0000
    let headers: UInt64 = 64 + 56
    let count = headers + UInt64(code.count)
    // The file's header: 64 bits, little-endian; an executable; entry point, program header; sizes and one such header.
    var image: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
    image += little(UInt16(2)) + little(machine) + little(UInt32(1))
    image += little(base + headers) + little(UInt64(64)) + little(UInt64(0)) + little(UInt32(0))
    image += [64, 56, 1, 0, 0, 0].flatMap { little(UInt16($0)) }
    // The program header: PT_LOAD, readable and executable, the whole file.
    image += little(UInt32(1)) + little(UInt32(5)) + little(UInt64(0))
    image += little(base) + little(base) + little(count) + little(count) + little(UInt64(4096))
    return image + code
}()
