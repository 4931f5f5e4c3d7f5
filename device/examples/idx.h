#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "device/examples/example_set.h"
#include "protocol/base/file.h"

namespace tributary {

// Where the Debian package dataset-fashion-mnist puts its four files.
inline constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

// The IDX format of the MNIST family, plain or gzip:
//   file       := 0x00 0x00 type rank dimension{rank} value{product of the dimensions}
//   type       := 0x08 unsigned byte, 0x09 signed byte, 0x0B int16, 0x0C int32, 0x0D float, 0x0E double; big endian
//   dimension  := 4 bytes, big endian
// Worked example, three labels: 00 00 08 01  00 00 00 03  07 02 01
struct IdxArray {
  DType dtype = DType::kUint8;
  std::vector<uint32_t> dimensions;
  Bytes values;  // little endian
};

// The most bytes of values one file may announce; checked before anything is allocated. MNIST's training images are 47
// million.
inline constexpr uint64_t kIdxBytes = 1ull << 30;

// kMissingData: no such file. kCorrupt: not IDX, cut short, longer than it announces, or broken gzip. kTooLarge:
// announces over kIdxBytes. kNotSupported: another value type. kPermissions, kIo.
Result<IdxArray> ReadIdx(const Path& file);

enum class IdxPart : uint8_t { kTraining, kTest };

// Images and labels of one part from a folder with the four files of MNIST's naming (train-images-idx3-ubyte,
// train-labels-idx1-ubyte, t10k-…), each with or without .gz, as the fields `image` of shape {1, rows, columns} (or
// {channels, rows, columns} when the file has four dimensions) and `label`, of
// the files' own types. kMissingData names the folder and the
// Debian package that has Fashion-MNIST; else as ReadIdx, and kCorrupt when images and labels do not belong together.
Result<std::shared_ptr<const ExampleSet>> LoadIdxFolder(const Path& folder, IdxPart part);
// The same from two files of any names.
Result<std::shared_ptr<const ExampleSet>> LoadIdxFiles(const Path& image_file, const Path& label_file);

// Whether the files are there, without reading them. kMissingData as LoadIdxFolder.
Status FindIdxFolder(const Path& folder, IdxPart part);

// The labels of a set, to deal it out by: the values of its integer field `label`. kInvalidArgument: there is none, or a
// label is negative or over 2^31.
Result<std::vector<uint32_t>> LabelsOf(const ExampleSet& set);

}  // namespace tributary
