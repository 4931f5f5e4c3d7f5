#pragma once

#include <memory>

#include "device/import/example_reader.h"
#include "device/import/image_file.h"
#include "protocol/base/file.h"

namespace tributary {

struct ImageOptions {
  uint32_t height = 0, width = 0;  // 0: those of the first image, which all others must have
  Resize resize = Resize::kRefuse;
  bool grey = false;
};

// A folder with one folder of PNG and JPEG files for each class, as the fields image, UINT8 [3, height, width] or with
// grey [1, height, width], and label, INT64: the number of the class, in the order of their names. Other files are not
// looked at. An example's id is class/file, so that no image comes in twice. kMissingData: no such folder; kBadExample:
// no images in it.
Result<std::unique_ptr<ExampleReader>> OpenImageFolder(const Path& folder, const ImageOptions& options);

}  // namespace tributary
