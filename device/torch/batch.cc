#include "device/torch/batch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

namespace tributary {
namespace {

// Calls `visit` with a value of the C++ type of `dtype`.
template <class Visit>
auto WithType(DType dtype, Visit visit) {
  switch (dtype) {
    case DType::kBool:
      return visit(bool());
    case DType::kUint8:
      return visit(uint8_t());
    case DType::kInt8:
      return visit(int8_t());
    case DType::kInt16:
      return visit(int16_t());
    case DType::kInt32:
      return visit(int32_t());
    case DType::kInt64:
      return visit(int64_t());
    case DType::kFp32:
      return visit(float());
    case DType::kFp64:
      break;
  }
  return visit(double());
}

// The values of a column lie behind one another without alignment.
template <class T>
T Load(const uint8_t* at) {
  if constexpr (std::is_same_v<T, bool>) return *at != 0;
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <class From, class To>
Status Convert(const TaskInput& input, const uint8_t* from, int64_t count, const Scale& scale, int64_t first, To* to) {
  if constexpr (std::is_floating_point_v<To>) {
    const auto mean = static_cast<To>(scale.mean[0]), std = static_cast<To>(scale.std[0]);
    if (scale.mean.size() == 1) {
      for (int64_t i = 0; i < count; ++i)
        to[i] = (static_cast<To>(Load<From>(from + i * static_cast<int64_t>(sizeof(From)))) - mean) / std;
      return {};
    }
    for (int64_t i = 0; i < count; ++i) {
      const auto k = static_cast<size_t>(first + i) % scale.mean.size();
      const To value = static_cast<To>(Load<From>(from + i * static_cast<int64_t>(sizeof(From))));
      to[i] = (value - static_cast<To>(scale.mean[k])) / static_cast<To>(scale.std[k]);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      const From value = Load<From>(from + i * static_cast<int64_t>(sizeof(From)));
      if constexpr (!std::is_same_v<To, bool> && !std::is_same_v<From, bool> && std::is_integral_v<From>) {
        if (!std::in_range<To>(value)) {
          return Fail(Code::kBadExample, "field '{}' has the value {}, which the input {} of type {} cannot hold",
                      input.field, value, input.name, DTypeName(input.dtype));
        }
      }
      to[i] = static_cast<To>(value);
    }
  }
  return {};
}

int64_t Product(std::span<const int64_t> shape) {
  int64_t product = 1;
  for (const int64_t dimension : shape) product *= dimension;
  return product;
}

}  // namespace

at::ScalarType ScalarTypeOf(DType dtype) {
  static constexpr at::ScalarType kTypes[] = {at::kBool, at::kByte, at::kChar,  at::kShort,
                                              at::kInt,  at::kLong, at::kFloat, at::kDouble};
  return kTypes[static_cast<size_t>(dtype)];
}

std::vector<Scale> MeasureScales(const TaskManifest& manifest, const Examples& examples) {
  std::vector<Scale> scales;
  for (const TaskInput& input : manifest.inputs) {
    Scale& scale = scales.emplace_back();
    if (input.scaling.kind == Scaling::Kind::kConstant) scale = {{input.scaling.mean}, {input.scaling.std}};
    const ExampleColumn* column = examples.set->Find(input.field);
    if (input.scaling.kind != Scaling::Kind::kDeviceStandard || !column) continue;
    const ExampleField& field = column->field;
    const bool by_row = !field.shape.empty() && field.shape[0] == -1;
    const size_t elements = field.varies() && !by_row ? 1 : field.elements();
    scale = {std::vector<double>(elements), std::vector<double>(elements)};
    std::vector<double> counts(elements);
    WithType(field.dtype, [&]<class From>(From) {
      for (const uint32_t index : examples.indices) {
        const ByteView bytes = column->At(index);
        for (size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
          const size_t k = i % elements;
          const auto value = static_cast<double>(Load<From>(bytes.data() + i * sizeof(From)));
          const double off = value - scale.mean[k];
          scale.mean[k] += off / ++counts[k];
          scale.std[k] += off * (value - scale.mean[k]);
        }
      }
    });
    for (size_t k = 0; k < elements; ++k) {
      const double std = std::sqrt(scale.std[k] / counts[k]);
      scale.std[k] = std > 0 ? std : 1;
    }
  }
  return scales;
}

Batcher::Batcher(const TaskManifest& manifest, const std::vector<bool>& used, const ExampleSet& set,
                 std::vector<Scale> scales) {
  for (size_t i = 0; i < manifest.inputs.size(); ++i) {
    Column& to = columns_.emplace_back();
    if (!used[i]) continue;
    to.input = &manifest.inputs[i];
    to.column = set.Find(to.input->field);
    TRIBUTARY_CHECK(to.column) << to.input->field;
    to.scale = std::move(scales[i]);
    to.shape = to.column->field.shape;
    to.keeps_one = to.shape.empty() && to.input->shape.size() == 2;
    const auto varying = std::ranges::find(to.shape, -1);
    if (varying != to.shape.end()) to.varying = varying - to.shape.begin();
  }
}

Result<Batch> Batcher::Make(std::span<const uint32_t> indices) {
  Batch batch(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].input) RETURN_IF_ERROR(Fill(columns_[i], indices, batch[i]));
  }
  return batch;
}

Status Batcher::Fill(Column& column, std::span<const uint32_t> indices, at::Tensor& to) {
  const ExampleColumn& source = *column.column;
  const auto unit = static_cast<int64_t>(source.field.elements());
  std::vector<int64_t> shape = column.shape;
  // Rows before the varying dimension, and elements behind it: an example is rows × length × inner.
  int64_t rows = 1, inner = unit, longest = 1;
  if (column.varying >= 0) {
    rows = Product(std::span(shape).first(static_cast<size_t>(column.varying)));
    inner = unit / rows;
    for (const uint32_t index : indices)
      longest = std::max(longest, static_cast<int64_t>(source.ElementsAt(index)) / unit);
    shape[static_cast<size_t>(column.varying)] = longest;
  }
  shape.insert(shape.begin(), static_cast<int64_t>(indices.size()));
  if (column.keeps_one) shape.push_back(1);
  const int64_t needed = c10::multiply_integers(shape);
  if (!column.buffer.defined() || column.buffer.numel() < needed)
    column.buffer = at::empty({needed}, ScalarTypeOf(column.input->dtype));
  to = column.buffer.narrow(0, 0, needed).view(shape);
  return WithType(source.field.dtype, [&]<class From>(From) {
    return WithType(column.input->dtype, [&]<class To>(To) -> Status {
      // The learner has refused real values for an input of whole numbers.
      if constexpr (std::is_floating_point_v<From> && !std::is_floating_point_v<To>) {
        return Fail(Code::kBadExample, "field '{}' has real values, input {} takes whole ones", column.input->field,
                    column.input->name);
      } else {
        To* at = static_cast<To*>(to.data_ptr());
        for (const uint32_t index : indices) {
          const uint8_t* from = source.At(index).data();
          const auto count = static_cast<int64_t>(source.ElementsAt(index)) / rows;
          const int64_t padded = longest * inner;
          for (int64_t row = 0; row < rows; ++row) {
            RETURN_IF_ERROR((Convert<From, To>(*column.input, from, count, column.scale, row * count, at)));
            std::fill(at + count, at + padded, static_cast<To>(column.input->pad));
            from += count * static_cast<int64_t>(sizeof(From));
            at += padded;
          }
        }
        return {};
      }
    });
  });
}

}  // namespace tributary
