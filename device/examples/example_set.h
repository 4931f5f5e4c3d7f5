#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Labelled examples as they lie in the files: one byte per pixel. Immutable once built and shared by every virtual
// device of a process, so that a fleet holds the data once.
struct ExampleSet {
  std::vector<int64_t> shape;   // of one example as a model takes it, for example {1, 28, 28}
  Bytes pixels;                 // example after example
  std::vector<uint8_t> labels;  // one per example

  size_t size() const { return labels.size(); }
  size_t pixels_per_example() const;
};

// Some examples of a set, in an order: what one device trains on or holds out. Value type, cheap to copy next to the
// data.
struct Examples {
  std::shared_ptr<const ExampleSet> set;
  std::vector<uint32_t> indices;

  static Examples All(std::shared_ptr<const ExampleSet> set);
  size_t size() const { return indices.size(); }
};

// Writes the examples at `indices` of `set`: pixels scaled to 0..1 (value / 255) into `pixels`, which has room for
// indices.size() * set.pixels_per_example(), and labels into `labels`.
void FillBatch(const ExampleSet& set, std::span<const uint32_t> indices, float* pixels, int64_t* labels);

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

enum class IdxPart : uint8_t { kTraining, kTest };

// The images and labels of one part from a folder with the four files of MNIST's naming (train-images-idx3-ubyte,
// train-labels-idx1-ubyte, t10k-…), each with or without .gz. Shape {1, rows, columns}. kMissingData names the folder
// and the Debian package that has Fashion-MNIST; else as ReadIdx, and kCorrupt when images and labels do not belong
// together.
Result<std::shared_ptr<const ExampleSet>> LoadIdxFolder(const Path& folder, IdxPart part);

}  // namespace tributary
