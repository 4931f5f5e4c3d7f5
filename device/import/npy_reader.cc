#include "device/import/npy_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "device/examples/field_value.h"

namespace tributary {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeadBytes = 64 * 1024;
constexpr std::pair<std::string_view, DType> kTypes[] = {
    {"|b1", DType::kBool},  {"|u1", DType::kUint8}, {"|i1", DType::kInt8}, {"<i2", DType::kInt16},
    {"<i4", DType::kInt32}, {"<i8", DType::kInt64}, {"<f4", DType::kFp32}, {"<f8", DType::kFp64}};

// The text behind 'key':; empty: it is not there.
std::string_view ValueOf(std::string_view text, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    size_t at = text.find(quoted);
    if (at == text.npos) continue;
    at = text.find_first_not_of(' ', at + quoted.size());
    if (at == text.npos || text[at] != ':') continue;
    at = text.find_first_not_of(' ', at + 1);
    if (at != text.npos) return text.substr(at);
  }
  return {};
}

tl::unexpected<Error> BadHead(const ByteSource& source) {
  return Fail(Code::kCorrupt, "{} has no head of a NumPy array; numpy.save writes one", source.name());
}

Result<DType> TypeIn(std::string_view value, const ByteSource& source) {
  const std::string_view unquoted = value.substr(std::min<size_t>(1, value.size()));
  const std::string_view name = unquoted.substr(0, unquoted.find_first_of("'\""));
  const auto* found = std::ranges::find(kTypes, name, &std::pair<std::string_view, DType>::first);
  if (!value.empty() && (value[0] == '\'' || value[0] == '"') && found != std::end(kTypes)) return found->second;
  return Fail(Code::kNotSupported,
              "{} has values of type {}; save it with array.astype(numpy.float32) or another of bool, uint8, int8 to "
              "int64, float32, float64, little endian",
              source.name(), value.substr(0, value.find(", '")).substr(0, 40));
}

Result<std::vector<uint64_t>> ShapeIn(std::string_view value, const ByteSource& source) {
  if (!value.starts_with('(')) return BadHead(source);
  value = value.substr(1, value.find(')') - 1);
  std::vector<uint64_t> shape;
  while (true) {
    value.remove_prefix(std::min(value.find_first_not_of(" ,"), value.size()));
    if (value.empty()) return shape;
    uint64_t dimension = 0;
    const auto [next, error] = std::from_chars(value.data(), value.data() + value.size(), dimension);
    if (error != std::errc() || shape.size() >= 8) return BadHead(source);
    shape.push_back(dimension);
    value.remove_prefix(static_cast<size_t>(next - value.data()));
  }
}

struct Array {
  std::unique_ptr<ByteSource> source;
  NpyHead head;
  uint64_t example_bytes = 0;
};

class NumpyReader final : public ExampleReader {
 public:
  NumpyReader(std::string file, uint64_t count, std::vector<ExampleField> fields, std::vector<Array> arrays)
      : file_(std::move(file)), count_(count), fields_(std::move(fields)), arrays_(std::move(arrays)) {}
  const std::vector<ExampleField>& fields() const override { return fields_; }

  Status Read(ExampleSink& sink) override {
    for (uint64_t number = 0; number < count_; ++number) {
      NewExample example;
      const std::string where = fmt::format("{}: example {}", file_, number);
      for (size_t i = 0; i < arrays_.size(); ++i) {
        const size_t at = example.values.size();
        example.values.resize(at + arrays_[i].example_bytes);
        RETURN_IF_ERROR(arrays_[i].source->ReadExactly(MutableByteView(example.values).subspan(at), where));
      }
      RETURN_IF_ERROR(sink.Put(example, where));
    }
    for (const Array& array : arrays_) {
      std::array<uint8_t, 1> more;
      ASSIGN_OR_RETURN(const size_t extra, array.source->Read(more));
      if (extra > 0) return Fail(Code::kCorrupt, "{} goes on after the values that it announces", array.source->name());
    }
    return {};
  }

 private:
  const std::string file_;
  const uint64_t count_;
  const std::vector<ExampleField> fields_;
  std::vector<Array> arrays_;
};

constexpr std::string_view kSuffix = ".npy";

std::string ArrayName(const ByteSource& source) {
  const std::string name = Path(source.name()).filename();
  return name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
}

Result<ExampleField> FieldFor(const std::string& name, const Array& array) {
  ExampleField field{name, array.head.dtype, {}};
  for (size_t i = 1; i < array.head.shape.size(); ++i) field.shape.push_back(static_cast<int64_t>(array.head.shape[i]));
  RETURN_IF_ERROR(CheckExampleField(field));
  return field;
}

}  // namespace

Result<NpyHead> ReadNpyHead(ByteSource& source) {
  std::array<uint8_t, 8> begin;
  RETURN_IF_ERROR(source.ReadExactly(begin, "the head"));
  if (AsText(ByteView(begin)).substr(0, 6) != kMagic || begin[6] < 1 || begin[6] > 3) return BadHead(source);
  Bytes size_bytes(begin[6] == 1 ? 2 : 4);
  RETURN_IF_ERROR(source.ReadExactly(size_bytes, "the head"));
  size_bytes.resize(4);
  ByteView size_view = size_bytes;
  ASSIGN_OR_RETURN(const uint32_t size, TakeU32(size_view));
  if (size > kHeadBytes) return BadHead(source);
  Bytes bytes(size);
  RETURN_IF_ERROR(source.ReadExactly(bytes, "the head"));
  const std::string_view text = AsText(bytes);
  const std::string_view descr = ValueOf(text, "descr"), order = ValueOf(text, "fortran_order"),
                         shape = ValueOf(text, "shape");
  if (descr.empty() || order.empty() || shape.empty()) return BadHead(source);
  NpyHead head;
  ASSIGN_OR_RETURN(head.dtype, TypeIn(descr, source));
  ASSIGN_OR_RETURN(head.shape, ShapeIn(shape, source));
  if (head.shape.empty())
    return Fail(Code::kNotSupported, "{} is one number; its first dimension must be the examples", source.name());
  if (!order.starts_with("False") && head.shape.size() > 1) {
    return Fail(Code::kNotSupported, "{} is in Fortran's order; save it with numpy.ascontiguousarray(array)",
                source.name());
  }
  uint64_t bytes_of_values = SizeOf(head.dtype);
  for (const uint64_t dimension : head.shape) {
    // Divided, because the product could wrap.
    if (dimension > kImportBytes || (dimension > 0 && bytes_of_values > kImportBytes / dimension))
      return Fail(Code::kTooLarge, "{} announces over {} bytes of values", source.name(), kImportBytes);
    bytes_of_values *= std::max<uint64_t>(dimension, 1);
  }
  return head;
}

Result<std::unique_ptr<ExampleReader>> OpenNumpy(const Path& file, const std::vector<FieldRequest>& requests) {
  std::vector<std::unique_ptr<ByteSource>> sources;
  if (file.extension() == kSuffix) {
    ASSIGN_OR_RETURN(auto source, OpenSource(file));
    sources.push_back(std::move(source));
  } else {
    ASSIGN_OR_RETURN(sources, OpenArchive(file, kSuffix));
  }
  std::vector<Array> arrays;
  std::vector<ExampleField> fields;
  std::string names;
  uint64_t example_bytes = 0;
  const auto take = [&](std::unique_ptr<ByteSource>& source, const std::string& name) -> Status {
    Array array{std::move(source), {}, 0};
    ASSIGN_OR_RETURN(array.head, ReadNpyHead(*array.source));
    ASSIGN_OR_RETURN(ExampleField field, FieldFor(name, array));
    array.example_bytes = field.elements() * SizeOf(field.dtype);
    example_bytes += array.example_bytes;
    if (example_bytes > kExampleBytes) {
      return Fail(Code::kTooLarge,
                  "{}: an example has over {} bytes; with --field NAME=ARRAY only some arrays are read", file.string(),
                  kExampleBytes);
    }
    fields.push_back(std::move(field));
    arrays.push_back(std::move(array));
    return {};
  };
  for (const auto& source : sources) names += (names.empty() ? "" : ", ") + ArrayName(*source);
  if (requests.empty()) {
    for (auto& source : sources) RETURN_IF_ERROR(take(source, FieldNameOf(ArrayName(*source))));
  }
  for (const FieldRequest& request : requests) {
    const auto found = std::ranges::find_if(sources, [&](const std::unique_ptr<ByteSource>& source) {
      return source && ArrayName(*source) == request.sources.front();
    });
    if (found == sources.end() || request.typed || request.sources.size() > 1) {
      return Fail(Code::kInvalidArgument,
                  "{}: a field is NAME=ARRAY, without a type, and each array is one field; it has the arrays: {}",
                  file.string(), names);
    }
    RETURN_IF_ERROR(take(*found, request.name));
  }
  if (arrays.empty()) return Fail(Code::kCorrupt, "{} has no arrays", file.string());
  const uint64_t count = arrays.front().head.shape.front();
  for (size_t i = 0; i < arrays.size(); ++i) {
    if (arrays[i].head.shape.front() != count) {
      return Fail(Code::kBadExample, "{}: {} has {} examples, {} has {}; the first dimension is the examples",
                  file.string(), fields[0].name, count, fields[i].name, arrays[i].head.shape.front());
    }
  }
  return std::make_unique<NumpyReader>(file.string(), count, std::move(fields), std::move(arrays));
}

}  // namespace tributary
