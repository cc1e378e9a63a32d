// SPDX-License-Identifier: Apache-2.0

@main
enum Main {
    nonisolated static func main() {}
}
