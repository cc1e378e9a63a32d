# SPDX-License-Identifier: Apache-2.0
# The words of this project. Each does what it needs first; the work is in scripts/.

PREFIX ?= /usr/local
DIR ?= .
RELEASE := .build/release
# PIE comes by itself; `now` resolves all symbols at the start. lld, as gold sometimes dies with an internal error.
RELEASE_FLAGS := -c release --static-swift-stdlib -Xlinker -z -Xlinker now -Xswiftc -use-ld=lld

.PHONY: help setup build demo shell test fuzz sanitize hostile bench instructions lab lint format clean install

help: ## list these words (default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building, the demo and the tests need, or say what is missing
	@scripts/setup test

build: ## release binaries in .build/release
	@scripts/setup build
	swift build $(RELEASE_FLAGS) --product virtiofsd
	swift build $(RELEASE_FLAGS) --product virtiofs
	scripts/build-agent $(RELEASE)

demo: ## boot a guest on a directory of this machine and show both sides reading and writing it
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@scripts/demo

shell: ## a shell in a guest with DIR=… (default: this folder) at /mnt/dir
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@$(RELEASE)/virtiofs vm --share "dir=$(DIR)"

test: ## everything that CI runs
	@scripts/setup test
	@scripts/lab
	@scripts/debian-root
	@scripts/lint
	@scripts/run-tests

SECONDS ?= 60
fuzz: ## give every parser, queue and file system hostile input for SECONDS=60 each
	@scripts/fuzz -t $(SECONDS)

sanitize: ## the tests of the daemon in one process under the thread and the address sanitizer
	@scripts/sanitize thread
	@scripts/sanitize address

hostile: ## try T1 to T20 on our daemon and on the Rust one, into docs/hostile.md
	@scripts/lab
	@scripts/compare-hostile

bench: ## time our daemon and its peers side by side into docs/benchmarks.md, with BENCH="more options"
	@scripts/setup demo
	@scripts/lab
	@$(MAKE) --no-print-directory build
	@scripts/bench $(BENCH)

instructions: ## count the instructions that our daemon executes for an operation
	@scripts/setup instructions
	@$(MAKE) --no-print-directory build
	@scripts/count-instructions

lab: ## fetch QEMU 11.1, kernel 7.3 and the Rust virtiofsd to test against
	@scripts/lab

lint: ## check format, scripts, file lengths and licence lines
	@scripts/lint

format: ## format all Swift code
	swift format -i -r Sources Tests Fuzz Package.swift

clean: ## remove what was built (the cache in ~/.cache/swift-virtiofs stays)
	rm -rf .build .build-*

install: ## install the release binaries and libvirt's description below PREFIX=… (/usr/local)
	@$(MAKE) --no-print-directory build
	@scripts/install "$(PREFIX)" "$(DESTDIR)"
