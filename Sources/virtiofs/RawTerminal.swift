// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Our terminal handed to a guest: every key goes to it unchanged until `restore`.
struct RawTerminal {
    let rows: Int
    let columns: Int
    private let descriptor: Int32
    private let saved: termios

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var mode = termios()
        _ = unsafe tcgetattr(descriptor, &mode)
        saved = mode
        unsafe cfmakeraw(&mode)
        _ = unsafe tcsetattr(descriptor, TCSADRAIN, &mode)
        var size = winsize()
        _ = unsafe vfs_ioctl_pointer(descriptor, UInt(TIOCGWINSZ), &size)
        rows = size.ws_row == 0 ? 24 : Int(size.ws_row)
        columns = size.ws_col == 0 ? 80 : Int(size.ws_col)
    }

    func restore() {
        var mode = saved
        _ = unsafe tcsetattr(descriptor, TCSADRAIN, &mode)
    }
}
