#include "device/examples/idx.h"

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

// The types that a file may name, and how a device keeps their values.
constexpr std::pair<uint8_t, DType> kTypes[] = {{0x08, DType::kUint8}, {0x09, DType::kInt8}, {0x0B, DType::kInt16},
                                                {0x0C, DType::kInt32}, {0x0D, DType::kFp32}, {0x0E, DType::kFp64}};
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

Result<Path> FindPart(const Path& folder, IdxPart part, bool images) {
  const std::string name = std::string(part == IdxPart::kTraining ? "train" : "t10k") +
                           (images ? "-images-idx3-ubyte" : "-labels-idx1-ubyte");
  for (const char* suffix : {".gz", ""}) {
    std::error_code ignored;
    if (Path file = folder / (name + suffix); std::filesystem::exists(file, ignored)) return file;
  }
  return Fail(Code::kMissingData,
              "folder {} has neither {}.gz nor {}; Fashion-MNIST is in the Debian package dataset-fashion-mnist ({})",
              folder.string(), name, name, kFashionMnistFolder);
}

}  // namespace

Result<IdxArray> ReadIdx(const Path& file) {
  ASSIGN_OR_RETURN(const GzFile opened, Open(file));
  std::array<uint8_t, 4> magic;
  RETURN_IF_ERROR(ReadExactly(opened.get(), file, magic, "the magic number"));
  if (magic[0] != 0 || magic[1] != 0) return Corrupt(file, "not an IDX file (magic {})", ToHex(magic));
  const auto* type = std::ranges::find(kTypes, magic[2], &std::pair<uint8_t, DType>::first);
  if (type == std::end(kTypes))
    return Fail(Code::kNotSupported, "{}: IDX has no values of type {}", file.string(), magic[2]);
  if (magic[3] < 1 || magic[3] > kMaxRank) return Corrupt(file, "rank {} is not 1 to 4", magic[3]);
  IdxArray array{.dtype = type->second, .dimensions = {}, .values = {}};
  const size_t size = SizeOf(array.dtype);
  uint64_t bytes = size;
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<uint8_t, 4> from;
    RETURN_IF_ERROR(ReadExactly(opened.get(), file, from, "a dimension"));
    array.dimensions.push_back(uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | from[3]);
    if (array.dimensions.back() == 0) return Corrupt(file, "a dimension is 0");
    // Below 2^30 before, so the product of the next step stays below 2^62.
    bytes *= array.dimensions.back();
    if (bytes > kIdxBytes) return Fail(Code::kTooLarge, file.string() + " announces more than 2^30 bytes");
  }
  array.values.resize(bytes);
  RETURN_IF_ERROR(ReadExactly(opened.get(), file, array.values, "the data"));
  std::array<uint8_t, 1> more;
  ASSIGN_OR_RETURN(const size_t extra, ReadUpTo(opened.get(), file, more));
  if (extra != 0) return Corrupt(file, "goes on after the {} bytes it announces", bytes);
  for (size_t at = 0; size > 1 && at < bytes; at += size) std::reverse(&array.values[at], &array.values[at] + size);
  return array;
}

Status FindIdxFolder(const Path& folder, IdxPart part) {
  for (const bool images : {true, false}) {
    if (auto file = FindPart(folder, part, images); !file) return Fail(file.error());
  }
  return {};
}

Result<std::shared_ptr<const ExampleSet>> LoadIdxFolder(const Path& folder, IdxPart part) {
  ASSIGN_OR_RETURN(const Path image_file, FindPart(folder, part, true));
  ASSIGN_OR_RETURN(const Path label_file, FindPart(folder, part, false));
  return LoadIdxFiles(image_file, label_file);
}

Result<std::shared_ptr<const ExampleSet>> LoadIdxFiles(const Path& image_file, const Path& label_file) {
  ASSIGN_OR_RETURN(IdxArray images, ReadIdx(image_file));
  ASSIGN_OR_RETURN(IdxArray labels, ReadIdx(label_file));
  if (images.dimensions.size() != 3 && images.dimensions.size() != 4)
    return Corrupt(image_file, "images have rank 3, or 4 with channels");
  if (labels.dimensions.size() != 1) return Corrupt(label_file, "labels have rank 1");
  if (images.dimensions[0] != labels.dimensions[0]) {
    return Corrupt(image_file, "{} images but {} labels", images.dimensions[0], labels.dimensions[0]);
  }
  auto set = std::make_shared<ExampleSet>();
  set->count = images.dimensions[0];
  std::vector<int64_t> shape(images.dimensions.begin() + 1, images.dimensions.end());
  if (shape.size() == 2) shape.insert(shape.begin(), 1);
  set->columns.push_back({{"image", images.dtype, std::move(shape)}, std::move(images.values)});
  set->columns.push_back({{"label", labels.dtype, {}}, std::move(labels.values)});
  return set;
}

Result<std::vector<uint32_t>> LabelsOf(const ExampleSet& set) {
  const ExampleColumn* column = set.Find("label");
  const auto bad = [](std::string_view what) { return Fail(Code::kInvalidArgument, "the examples {}", what); };
  if (!column) return bad("have no field `label` to be dealt out by");
  const DType dtype = column->field.dtype;
  if (dtype == DType::kFp32 || dtype == DType::kFp64 || column->field.elements() != 1 || column->field.varies())
    return bad("have a field `label` that is not one whole number");
  std::vector<uint32_t> labels(set.count);
  for (size_t i = 0; i < set.count; ++i) {
    const ByteView from = column->At(i);
    const bool negative = dtype != DType::kUint8 && dtype != DType::kBool && (from.back() & 0x80) != 0;
    uint64_t value = 0;
    for (size_t byte = from.size(); byte-- > 0;) value = value << 8 | from[byte];
    if (negative || value > (uint64_t{1} << 31)) return bad(fmt::format("have a label that is negative or over 2^31"));
    labels[i] = static_cast<uint32_t>(value);
  }
  return labels;
}

}  // namespace tributary
