#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

// What every target of this folder defines. libFuzzer calls it with inputs of its own (preset fuzz), replay_main.cc
// with the seeds and simple mutations of them (every other build). A property that does not hold is a failed
// TRIBUTARY_CHECK.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
