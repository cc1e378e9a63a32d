// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Runs libFuzzer with `run` on the options and directories in `argv`. Returns the exit status.
int fuzz_drive(int argc, char **argv, int (*run)(const uint8_t *, size_t));
