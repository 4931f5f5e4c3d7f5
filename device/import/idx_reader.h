#pragma once

#include <memory>

#include "device/import/example_reader.h"
#include "protocol/base/file.h"

namespace tributary {

// A file of images and one of labels in the IDX format (device/examples/idx.h), as the fields image, [channels, rows,
// columns], and label. kCorrupt: they do not belong together; else as ReadIdx.
Result<std::unique_ptr<ExampleReader>> OpenIdx(const Path& images, const Path& labels);

}  // namespace tributary
