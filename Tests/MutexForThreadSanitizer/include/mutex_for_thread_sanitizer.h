// SPDX-License-Identifier: Apache-2.0
// Nothing to call: what it defines takes the place of functions of Swift's library.
#pragma once
