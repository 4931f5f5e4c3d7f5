#include "device/examples/example_set.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

namespace tributary {
namespace {

constexpr uint8_t kUnsignedByte = 0x08;
constexpr size_t kMaxRank = 4;
// zlib takes int lengths; pieces also bound how far a read goes beyond a file that lies about its size.
constexpr size_t kReadPiece = 1 << 20;

struct CloseGz {
  void operator()(gzFile file) const { gzclose_r(file); }
};
using GzFile = std::unique_ptr<gzFile_s, CloseGz>;

template <class... Values>
tl::unexpected<Error> Corrupt(const Path& file, fmt::format_string<Values...> what, Values&&... values) {
  return Fail(Code::kCorrupt, file.string() + ": " + fmt::format(what, std::forward<Values>(values)...));
}

Result<GzFile> Open(const Path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found)
    return Fail(Code::kMissingData, "no file " + file.string());
  if (!error && status.type() != std::filesystem::file_type::regular) {
    return Fail(Code::kIo, file.string() + " is not a regular file");
  }
  errno = 0;
  GzFile opened(gzopen(file.c_str(), "rb"));
  if (opened) return opened;
  const Code code = errno == EACCES ? Code::kPermissions : Code::kIo;
  return Fail(code, "cannot open " + file.string() + ": " + std::strerror(errno));
}

// Reads until `out` is full or the file ends; the number of bytes read.
Result<size_t> ReadUpTo(gzFile from, const Path& file, MutableByteView out) {
  size_t done = 0;
  while (done < out.size()) {
    const auto piece = static_cast<unsigned>(std::min(kReadPiece, out.size() - done));
    const int got = gzread(from, out.data() + done, piece);
    int code = Z_OK;
    const char* text = gzerror(from, &code);
    if (code == Z_ERRNO) return Fail(Code::kIo, file.string() + ": " + std::strerror(errno));
    // Z_BUF_ERROR is how zlib says that the gzip stream stops in the middle.
    if (got < 0 || code != Z_OK) return Corrupt(file, "broken gzip: {}", text);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Status ReadExactly(gzFile from, const Path& file, MutableByteView out, const char* what) {
  ASSIGN_OR_RETURN(const size_t got, ReadUpTo(from, file, out));
  if (got == out.size()) return {};
  return Corrupt(file, "{} is cut short: {} of {} bytes", what, got, out.size());
}

Result<Path> Find(const Path& folder, const std::string& name) {
  for (const char* suffix : {".gz", ""}) {
    std::error_code ignored;
    if (Path file = folder / (name + suffix); std::filesystem::exists(file, ignored)) return file;
  }
  return Fail(Code::kMissingData,
              "folder {} has neither {}.gz nor {}; Fashion-MNIST is in the Debian package dataset-fashion-mnist ({})",
              folder.string(), name, name, kFashionMnistFolder);
}

}  // namespace

size_t ExampleSet::pixels_per_example() const {
  size_t product = 1;
  for (const int64_t dimension : shape) product *= static_cast<size_t>(dimension);
  return product;
}

Examples Examples::All(std::shared_ptr<const ExampleSet> set) {
  Examples examples{std::move(set), {}};
  examples.indices.resize(examples.set->size());
  std::iota(examples.indices.begin(), examples.indices.end(), 0);
  return examples;
}

void FillBatch(const ExampleSet& set, std::span<const uint32_t> indices, float* pixels, int64_t* labels) {
  const size_t per_example = set.pixels_per_example();
  for (const uint32_t index : indices) {
    TRIBUTARY_CHECK(index < set.size()) << " example " << index << " of " << set.size();
    const uint8_t* from = set.pixels.data() + index * per_example;
    for (size_t i = 0; i < per_example; ++i) pixels[i] = static_cast<float>(from[i]) / 255.0f;
    pixels += per_example;
    *labels++ = set.labels[index];
  }
}

Result<IdxArray> ReadIdx(const Path& file) {
  ASSIGN_OR_RETURN(const GzFile opened, Open(file));
  std::array<uint8_t, 4> magic;
  RETURN_IF_ERROR(ReadExactly(opened.get(), file, magic, "the magic number"));
  if (magic[0] != 0 || magic[1] != 0) return Corrupt(file, "not an IDX file (magic {})", ToHex(magic));
  if (magic[2] != kUnsignedByte) {
    return Fail(Code::kNotSupported, "{}: IDX values of type {}, only unsigned bytes (8) are read", file.string(),
                magic[2]);
  }
  if (magic[3] < 1 || magic[3] > kMaxRank) return Corrupt(file, "rank {} is not 1 to 4", magic[3]);
  IdxArray array;
  uint64_t values = 1;
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<uint8_t, 4> size;
    RETURN_IF_ERROR(ReadExactly(opened.get(), file, size, "a dimension"));
    array.dimensions.push_back(uint32_t{size[0]} << 24 | uint32_t{size[1]} << 16 | uint32_t{size[2]} << 8 | size[3]);
    if (array.dimensions.back() == 0) return Corrupt(file, "a dimension is 0");
    // Below 2^30 before, so the product of the next step stays below 2^62.
    values *= array.dimensions.back();
    if (values > kIdxValues) return Fail(Code::kTooLarge, file.string() + " announces more than 2^30 values");
  }
  array.values.resize(values);
  RETURN_IF_ERROR(ReadExactly(opened.get(), file, array.values, "the data"));
  std::array<uint8_t, 1> more;
  ASSIGN_OR_RETURN(const size_t extra, ReadUpTo(opened.get(), file, more));
  if (extra != 0) return Corrupt(file, "goes on after the {} values it announces", values);
  return array;
}

Result<std::shared_ptr<const ExampleSet>> LoadIdxFolder(const Path& folder, IdxPart part) {
  const std::string prefix = part == IdxPart::kTraining ? "train" : "t10k";
  ASSIGN_OR_RETURN(const Path image_file, Find(folder, prefix + "-images-idx3-ubyte"));
  ASSIGN_OR_RETURN(const Path label_file, Find(folder, prefix + "-labels-idx1-ubyte"));
  ASSIGN_OR_RETURN(IdxArray images, ReadIdx(image_file));
  ASSIGN_OR_RETURN(IdxArray labels, ReadIdx(label_file));
  if (images.dimensions.size() != 3) return Corrupt(image_file, "images have rank 3");
  if (labels.dimensions.size() != 1) return Corrupt(label_file, "labels have rank 1");
  if (images.dimensions[0] != labels.dimensions[0]) {
    return Corrupt(image_file, "{} images but {} labels", images.dimensions[0], labels.dimensions[0]);
  }
  auto set = std::make_shared<ExampleSet>();
  set->shape = {1, images.dimensions[1], images.dimensions[2]};
  set->pixels = std::move(images.values);
  set->labels = std::move(labels.values);
  return set;
}

}  // namespace tributary
