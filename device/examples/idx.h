#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "device/examples/example_set.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Where the Debian package dataset-fashion-mnist puts its four files.
inline constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

// The IDX format of the MNIST family, plain or gzip:
//   file       := 0x00 0x00 type rank dimension{rank} value{product of the dimensions}
//   type       := 0x08                     (unsigned byte; the other types of the format are refused)
//   dimension  := 4 bytes, big endian
// Worked example, three labels: 00 00 08 01  00 00 00 03  07 02 01
struct IdxArray {
  std::vector<uint32_t> dimensions;
  Bytes values;
};

// The most values one file may announce; checked before anything is allocated. MNIST's training images are 47 million.
inline constexpr uint64_t kIdxValues = 1ull << 30;

// kMissingData: no such file. kCorrupt: not IDX, cut short, longer than it announces, or broken gzip. kTooLarge:
// announces over kIdxValues. kNotSupported: another value type. kPermissions, kIo.
Result<IdxArray> ReadIdx(const Path& file);

enum class IdxPart { kTraining, kTest };

// The images and labels of one part from a folder with the four files of MNIST's naming (train-images-idx3-ubyte,
// train-labels-idx1-ubyte, t10k-…), each with or without .gz. Shape {1, rows, columns}; `classes` is the largest label
// + 1. kMissingData names the folder and the Debian package that has Fashion-MNIST; else as ReadIdx, and kCorrupt when
// images and labels do not belong together.
Result<std::shared_ptr<const ExampleSet>> LoadIdxFolder(const Path& folder, IdxPart part);

}  // namespace tributary
