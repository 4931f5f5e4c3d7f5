#include "device/sdk/arguments.h"

#include <optional>
#include <utility>

#include "device/examples/example_content.h"
#include "device/examples/field_value.h"
#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

constexpr uint32_t kMostDimensions = 8;  // with the batch's
constexpr uint64_t kMostElements = uint64_t{1} << 40;
constexpr size_t kMostTensors = 1'000;

Result<DType> TakeDType(uint32_t dtype, const std::string& name) {
  if (dtype < TRIBUTARY_BOOL || dtype > TRIBUTARY_FP64)
    return Fail(Code::kInvalidArgument, "'{}' has the dtype {}, which is none of tributary.h", name, dtype);
  return static_cast<DType>(dtype - TRIBUTARY_BOOL);
}

Result<std::vector<int64_t>> TakeShape(uint32_t ndim, const int64_t* shape, const std::string& name) {
  if (ndim > kMostDimensions)
    return Fail(Code::kInvalidArgument, "'{}' has {} dimensions, at most {} are taken", name, ndim, kMostDimensions);
  ASSIGN_OR_RETURN(const auto sizes, TakeList(shape, ndim, "the shape of '" + name + "'"));
  return std::vector<int64_t>(sizes.begin(), sizes.end());
}

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ",") + std::to_string(size);
  return "[" + text + "]";
}

// A tensor whose bytes are those that its dtype and shape say.
struct GivenTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  ByteView bytes;

  uint64_t elements() const { return bytes.size() / SizeOf(dtype); }
};

Result<GivenTensor> TakeTensor(const tributary_tensor& given) {
  GivenTensor tensor;
  ASSIGN_OR_RETURN(tensor.name, TakeText(given.name, "the name of a tensor"));
  ASSIGN_OR_RETURN(tensor.dtype, TakeDType(given.dtype, tensor.name));
  ASSIGN_OR_RETURN(tensor.shape, TakeShape(given.ndim, given.shape, tensor.name));
  uint64_t elements = 1;
  for (const int64_t size : tensor.shape) {
    if (size < 0 || (size > 0 && elements > kMostElements / static_cast<uint64_t>(size))) {
      return Fail(Code::kInvalidArgument, "'{}' has the shape {}, which no values can have", tensor.name,
                  ShapeText(tensor.shape));
    }
    elements *= static_cast<uint64_t>(size);
  }
  if (given.bytes != elements * SizeOf(tensor.dtype)) {
    return Fail(Code::kBadExample, "'{}' has {} bytes; {}{} takes {}", tensor.name, given.bytes,
                DTypeName(tensor.dtype), ShapeText(tensor.shape), elements * SizeOf(tensor.dtype));
  }
  if (!given.data && given.bytes > 0) return Fail(Code::kInvalidArgument, "the data of '{}' is NULL", tensor.name);
  tensor.bytes = ByteView(static_cast<const uint8_t*>(given.data), given.bytes);
  return tensor;
}

Result<std::vector<GivenTensor>> TakeTensors(const tributary_tensor* tensors, size_t count) {
  ASSIGN_OR_RETURN(const auto given, TakeList(tensors, count, "tensors"));
  if (count > kMostTensors)
    return Fail(Code::kInvalidArgument, "there are {} tensors, at most {} are taken", count, kMostTensors);
  std::vector<GivenTensor> taken;
  for (const tributary_tensor& one : given) {
    ASSIGN_OR_RETURN(GivenTensor tensor, TakeTensor(one));
    if (std::ranges::find(taken, tensor.name, &GivenTensor::name) != taken.end())
      return Fail(Code::kInvalidArgument, "the tensor '{}' stands twice", tensor.name);
    taken.push_back(std::move(tensor));
  }
  return taken;
}

bool Fits(const ExampleField& field, std::span<const int64_t> shape) {
  return std::ranges::equal(field.shape, shape,
                            [](int64_t asked, int64_t is) { return asked == is || (asked == -1 && is >= 0); });
}

}  // namespace

Result<std::string> TakeText(const char* text, std::string_view what) {
  if (!text) return Fail(Code::kInvalidArgument, "{} is NULL", what);
  std::string taken(text);
  if (!IsUtf8(taken)) return Fail(Code::kInvalidArgument, "{} is not UTF-8", what);
  return taken;
}

Result<std::string> TakeTextIfAny(const char* text, std::string_view what) {
  return text ? TakeText(text, what) : std::string();
}

Result<std::vector<ExampleField>> TakeFields(const tributary_field* fields, size_t count) {
  ASSIGN_OR_RETURN(const auto given, TakeList(fields, count, "fields"));
  if (count > kMostTensors)
    return Fail(Code::kInvalidArgument, "there are {} fields, at most {} are taken", count, kMostTensors);
  std::vector<ExampleField> taken;
  for (const tributary_field& one : given) {
    ExampleField field;
    ASSIGN_OR_RETURN(field.name, TakeText(one.name, "the name of a field"));
    ASSIGN_OR_RETURN(field.dtype, TakeDType(one.dtype, field.name));
    ASSIGN_OR_RETURN(field.shape, TakeShape(one.ndim, one.shape, field.name));
    RETURN_IF_ERROR(CheckExampleField(field));
    taken.push_back(std::move(field));
  }
  return taken;
}

double HeldOutShareOf(double given) {
  if (given == 0) return CollectionSettings().held_out_share;
  return given < 0 ? 0 : given;
}

Result<CollectionSettings> TakeCollection(const tributary_collection* given) {
  ASSIGN_OR_RETURN(const tributary_collection collection, TakeStruct(given, "collection"));
  CollectionSettings settings;
  ASSIGN_OR_RETURN(settings.name, TakeText(collection.name, "the name of the collection"));
  ASSIGN_OR_RETURN(settings.purpose, TakeTextIfAny(collection.purpose, "the purpose of the collection"));
  ASSIGN_OR_RETURN(settings.fields, TakeFields(collection.fields, collection.field_count));
  settings.retention = {collection.max_age_seconds, collection.max_count, collection.max_bytes};
  settings.held_out_share = HeldOutShareOf(collection.held_out_share);
  return settings;
}

Result<NewExample> TakeExample(std::span<const ExampleField> fields, const tributary_example* given) {
  ASSIGN_OR_RETURN(const tributary_example example, TakeStruct(given, "example"));
  NewExample taken;
  ASSIGN_OR_RETURN(taken.id, TakeTextIfAny(example.id, "the id of an example"));
  ASSIGN_OR_RETURN(taken.group, TakeTextIfAny(example.group, "the group of an example"));
  ASSIGN_OR_RETURN(const auto tensors, TakeTensors(example.tensors, example.tensor_count));
  for (const GivenTensor& tensor : tensors) {
    if (std::ranges::find(fields, tensor.name, &ExampleField::name) == fields.end())
      return Fail(Code::kBadExample, "an example has the tensor '{}', which is no field of the collection", tensor.name);
  }
  for (const ExampleField& field : fields) {
    const auto tensor = std::ranges::find(tensors, field.name, &GivenTensor::name);
    if (tensor == tensors.end())
      return Fail(Code::kMissingField, "an example has no tensor '{}', which is a field of the collection", field.name);
    if (tensor->dtype != field.dtype || !Fits(field, tensor->shape)) {
      return Fail(Code::kBadExample, "the tensor '{}' is {}{}, the field is {}", field.name, DTypeName(tensor->dtype),
                  ShapeText(tensor->shape), FieldText(field));
    }
    if (taken.values.size() + tensor->bytes.size() > kExampleBytes)
      return Fail(Code::kTooLarge, "an example has over {} bytes", kExampleBytes);
    Append(taken.values, tensor->bytes);
    if (field.varies()) taken.lengths.push_back(static_cast<uint32_t>(tensor->elements()));
  }
  return taken;
}

Result<ExampleSet> TakeRequest(const tributary_tensor* given, size_t count) {
  ASSIGN_OR_RETURN(const auto tensors, TakeTensors(given, count));
  if (tensors.empty()) return Fail(Code::kInvalidArgument, "there are no inputs");
  ExampleSet request;
  for (const GivenTensor& tensor : tensors) {
    if (tensor.shape.empty() || tensor.shape[0] < 1) {
      return Fail(Code::kBadExample, "the input '{}' has the shape {}; its first dimension is the batch, at least 1",
                  tensor.name, ShapeText(tensor.shape));
    }
    const auto batch = static_cast<size_t>(tensor.shape[0]);
    if (!request.columns.empty() && batch != request.count) {
      return Fail(Code::kBadExample, "the input '{}' has a batch of {}, the one before it of {}", tensor.name, batch,
                  request.count);
    }
    request.count = batch;
    ExampleColumn column;
    column.field = {tensor.name, tensor.dtype, {tensor.shape.begin() + 1, tensor.shape.end()}};
    column.values.assign(tensor.bytes.begin(), tensor.bytes.end());
    request.columns.push_back(std::move(column));
  }
  return request;
}

}  // namespace tributary
