#pragma once

#include <memory>

#include "device/import/example_reader.h"
#include "protocol/base/file.h"

namespace tributary {

// A text as tokens, one for each byte, plain or gzip: windows of length + 1 bytes, `stride` bytes from one to the next, as
// the fields tokens (the first `length`) and next (the last `length`), INT64. The rest at the end is left out.
// kInvalidArgument: length or stride is 0 or over 1,000,000.
Result<std::unique_ptr<ExampleReader>> OpenText(const Path& file, uint64_t length, uint64_t stride);

}  // namespace tributary
