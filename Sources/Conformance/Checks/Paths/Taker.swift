// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// One way in which an area's call takes a path: what path_resolution(7) says holds for each of them.
struct Taker: Sendable {
    enum Last: Sendable {
        /// The path has to name an object, which is made as this kind.
        case existing(Kind)
        /// The path must name nothing.
        case new
    }

    let area: String
    let last: Last
    /// Whether a symbolic link in the last place is followed.
    let follows: Bool
    /// Whether it changes the directory that holds the last name.
    let writesParent: Bool
    let call: @Sendable (Path) -> Call

    init(
        _ area: String, _ last: Last, follows: Bool = false, writesParent: Bool = true,
        _ call: @escaping @Sendable (Path) -> Call
    ) {
        self.area = area
        self.last = last
        self.follows = follows
        self.writesParent = writesParent
        self.call = call
    }

    /// Makes what the call finds at `path` and, for calls with two paths, "source", both of `owner`.
    func arrange(_ path: Path, owner: User? = nil) throws {
        discard("source", "new")
        try make(.regular, "source", owner: owner)
        if case .existing(let kind) = last { try make(kind, path, owner: owner) }
    }

    /// Expects the call to succeed on `path`, having made what it needs, and tidies up.
    func expectSuccess(_ path: Path, arrangedAt place: Path? = nil) throws {
        try arrange(place ?? path)
        try expect(call(path))
        discard(path, place ?? path)
    }

    static let all: [Taker] = [
        Taker("chmod", .existing(.regular), follows: true, writesParent: false) { .chmod($0, 0o644) },
        Taker("chown", .existing(.regular), follows: true, writesParent: false) { .chown($0, -1, -1) },
        Taker("chown", .existing(.regular), writesParent: false) { .lchown($0, -1, -1) },
        Taker("link", .existing(.regular), writesParent: false) { .link($0, "new") },
        Taker("link", .new) { .link("source", $0) },
        Taker("mkdir", .new) { .mkdir($0) },
        Taker("mkfifo", .new) { .mkfifo($0) },
        Taker("mknod", .new) { .mknod($0, Kind.fifo.bits | 0o644) },
        Taker("mknod", .new) { .mknod($0, Kind.regular.bits | 0o644) },
        Taker("open", .existing(.regular), follows: true, writesParent: false) { .open($0, O_RDONLY) },
        Taker("open", .new, follows: true) { .open($0, O_WRONLY | O_CREAT) },
        Taker("rename", .existing(.regular)) { .rename($0, "new") },
        Taker("rename", .new) { .rename("source", $0) },
        Taker("rmdir", .existing(.directory)) { .rmdir($0) },
        Taker("symlink", .new) { .symlink("target", $0) },
        Taker("truncate", .existing(.regular), follows: true, writesParent: false) { .truncate($0, 0) },
        Taker("unlink", .existing(.regular)) { .unlink($0) },
        Taker("utimensat", .existing(.regular), follows: true, writesParent: false) { .utimensat($0, nil) },
        Taker("utimensat", .existing(.regular), writesParent: false) {
            .utimensat($0, nil, flags: AT_SYMLINK_NOFOLLOW)
        },
    ]

    /// A check for each area that has a taker for which `applies` holds.
    static func checks(
        _ suffix: String, _ statement: String, where applies: (Taker) -> Bool = { _ in true },
        _ body: @escaping @Sendable (Taker) throws -> Void
    ) -> [Check] {
        var areas: [String] = []
        for taker in all where applies(taker) && !areas.contains(taker.area) { areas.append(taker.area) }
        return areas.map { area in
            let takers = all.filter { $0.area == area && applies($0) }
            return Check("\(area)/\(suffix)", "\(area)(2), \(statement)") {
                for taker in takers { try body(taker) }
            }
        }
    }
}
