/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the first byte of an input of fuzz-loadvm means. */
#ifndef FUZZ_LOADVM_H
#define FUZZ_LOADVM_H

#define FUZZ_NO_FOOTERS 1
#define FUZZ_NO_CONFIGURATION 2

#endif
