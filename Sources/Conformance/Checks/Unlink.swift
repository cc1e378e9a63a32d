// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

let unlinkChecks: [Check] = [
    Check("unlink/removes-every-kind", "unlink(2): removes a name of any object but a directory") {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.unlink("x"))
            try expect(.lstat("x"), .ENOENT)
        }
    },
    Check(
        "unlink/times-and-links", "unlink(3p): marks the parent's contents and the object's status as changed"
    ) {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.link("x", "y"))
            try expect(.unlink("x"), moves: [(".", .contents), ("y", .change)])
            try expect("y", .links(1))
            try expect(.unlink("y"))
        }
    },
]
