#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

// A target of this folder: TRIBUTARY_FUZZ_TARGET(name) { … data, size …; return 0; }. A property that does not hold is a
// failed TRIBUTARY_CHECK. In the preset fuzz each target is a libFuzzer program; in every other build one program,
// replay_main.cc, runs the seeds of all of them and simple mutations.
#ifdef TRIBUTARY_LIBFUZZER
#define TRIBUTARY_FUZZ_TARGET(name) extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
#else
#define TRIBUTARY_FUZZ_TARGET(name) int Fuzz_##name(const uint8_t* data, size_t size)
#endif
