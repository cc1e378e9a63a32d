// SPDX-License-Identifier: Apache-2.0
#include "fuzz_driver.h"

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*run)(const uint8_t *, size_t));

// libFuzzer's own main, which is never run but linked, asks for it.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)data;
    (void)size;
    return 0;
}

int fuzz_drive(int argc, char **argv, int (*run)(const uint8_t *, size_t)) {
    return LLVMFuzzerRunDriver(&argc, &argv, run);
}
