#include "device/examples/example_set.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "protocol/base/ids.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr uint64_t kMostElements = uint64_t{1} << 31;

}  // namespace

bool ExampleField::varies() const { return std::ranges::find(shape, -1) != shape.end(); }

uint64_t ExampleField::elements() const {
  uint64_t product = 1;
  for (const int64_t dimension : shape) product *= dimension == -1 ? 1 : static_cast<uint64_t>(dimension);
  return product;
}

Status CheckExampleField(const ExampleField& field) {
  if (const Status name = CheckName(field.name, "field"); !name)
    return Fail(Code::kInvalidArgument, "{}", name.error().message);
  if (field.shape.size() >= limits::kTensorRank)
    return Fail(Code::kInvalidArgument, "field {} has {} dimensions, at most {} are allowed", field.name,
                field.shape.size(), limits::kTensorRank - 1);
  if (std::ranges::count(field.shape, -1) > 1)
    return Fail(Code::kInvalidArgument, "field {} has two dimensions that vary, one is allowed", field.name);
  uint64_t elements = 1;
  for (const int64_t dimension : field.shape) {
    if (dimension < 1 && dimension != -1)
      return Fail(Code::kInvalidArgument, "field {} has a dimension of {}", field.name, dimension);
    // Below 2^31 before, so the product stays below 2^62.
    const int64_t most = static_cast<int64_t>(kMostElements);
    if (dimension > most || (elements *= dimension == -1 ? 1 : static_cast<uint64_t>(dimension)) > kMostElements)
      return Fail(Code::kTooLarge, "field {} has over 2^31 elements", field.name);
  }
  return {};
}

ByteView ExampleColumn::At(size_t example) const {
  const size_t size = SizeOf(field.dtype);
  if (!field.varies()) return ByteView(values).subspan(example * field.elements() * size, field.elements() * size);
  const uint64_t begin = example == 0 ? 0 : ends[example - 1];
  return ByteView(values).subspan(begin * size, (ends[example] - begin) * size);
}

uint64_t ExampleColumn::ElementsAt(size_t example) const {
  if (!field.varies()) return field.elements();
  return ends[example] - (example == 0 ? 0 : ends[example - 1]);
}

const ExampleColumn* ExampleSet::Find(std::string_view field) const {
  const auto found =
      std::ranges::find_if(columns, [&](const ExampleColumn& column) { return column.field.name == field; });
  return found == columns.end() ? nullptr : &*found;
}

Status CheckExampleSet(const ExampleSet& set) {
  for (const ExampleColumn& column : set.columns) {
    RETURN_IF_ERROR(CheckExampleField(column.field));
    const auto bad = [&](std::string_view what) {
      return Fail(Code::kMalformed, "field {} of {} examples {}", column.field.name, set.count, what);
    };
    const uint64_t unit = column.field.elements();
    uint64_t elements = set.count * unit;
    if (column.field.varies()) {
      if (column.ends.size() != set.count) return bad(fmt::format("has {} ends", column.ends.size()));
      uint64_t last = 0;
      for (const uint64_t end : column.ends) {
        if (end < last || (end - last) % unit != 0) return bad("has ends that do not grow by whole rows");
        last = end;
      }
      elements = last;
    }
    // The count is bounded by the values first, so that no product wraps.
    if (set.count > column.values.size() + 1 && !column.field.varies()) return bad("has too few values");
    if (column.values.size() % SizeOf(column.field.dtype) != 0 ||
        column.values.size() / SizeOf(column.field.dtype) != elements) {
      return bad(fmt::format("has {} bytes of values", column.values.size()));
    }
  }
  return {};
}

Examples Examples::All(std::shared_ptr<const ExampleSet> set) {
  Examples examples{std::move(set), {}};
  examples.indices.resize(examples.set->size());
  std::iota(examples.indices.begin(), examples.indices.end(), 0);
  return examples;
}

}  // namespace tributary
