#include "device/examples/example_columns.h"

#include <algorithm>
#include <utility>

#include "device/examples/field_value.h"

namespace tributary {

ExampleColumns::ExampleColumns(std::vector<ExampleField> fields, std::span<const std::string> wanted)
    : fields_(std::move(fields)) {
  for (size_t place = 0; place < fields_.size(); ++place) {
    if (std::ranges::find(wanted, fields_[place].name) == wanted.end()) continue;
    wanted_.push_back(place);
    set_.columns.push_back({.field = fields_[place], .values = {}});
  }
  elements_.resize(static_cast<size_t>(std::ranges::count_if(fields_, &ExampleField::varies)));
}

bool ExampleColumns::varies() const {
  return std::ranges::any_of(set_.columns, [](const ExampleColumn& column) { return column.field.varies(); });
}

size_t ExampleColumns::length_bytes() const { return 4 * elements_.size(); }

Status ExampleColumns::Measure(ByteView beginning) {
  for (uint64_t& elements : elements_) {
    ASSIGN_OR_RETURN(const uint32_t length, TakeU32(beginning));
    elements += length;
  }
  return {};
}

void ExampleColumns::Reserve(uint64_t examples, uint64_t most_bytes) {
  size_t varying = 0;
  for (size_t place = 0, column = 0; place < fields_.size() && column < wanted_.size(); ++place) {
    const ExampleField& field = fields_[place];
    const uint64_t elements = field.varies() ? elements_[varying++] : examples * field.elements();
    if (wanted_[column] != place) continue;
    set_.columns[column].values.reserve(std::min(elements * SizeOf(field.dtype), most_bytes));
    if (field.varies()) set_.columns[column].ends.reserve(examples);
    ++column;
  }
}

Status ExampleColumns::Add(bool held_out, ByteView content) {
  RETURN_IF_ERROR(SplitContent(fields_, content, parts_));
  for (size_t column = 0; column < wanted_.size(); ++column) {
    ExampleColumn& to = set_.columns[column];
    const ContentPart& part = parts_[wanted_[column]];
    Append(to.values, part.values);
    if (to.field.varies()) to.ends.push_back((to.ends.empty() ? 0 : to.ends.back()) + part.elements);
  }
  (held_out ? shares_.held_out : shares_.training).indices.push_back(static_cast<uint32_t>(set_.count++));
  return {};
}

Status ExampleColumns::Renumber(const std::string& field, const std::function<Result<int64_t>(int64_t)>& number) {
  for (ExampleColumn& column : set_.columns) {
    if (column.field.name != field) continue;
    const DType dtype = column.field.dtype;
    Bytes values;
    values.reserve(column.values.size());
    for (size_t at = 0; at < column.values.size(); at += SizeOf(dtype)) {
      ASSIGN_OR_RETURN(const int64_t other, number(static_cast<int64_t>(RealAt(dtype, &column.values[at]))));
      RETURN_IF_ERROR(AppendWhole(dtype, other, values));
    }
    column.values = std::move(values);
  }
  return {};
}

TaskExamples ExampleColumns::Finish() && {
  shares_.training.set = shares_.held_out.set = std::make_shared<const ExampleSet>(std::move(set_));
  return std::move(shares_);
}

}  // namespace tributary
