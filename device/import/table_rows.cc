#include "device/import/table_rows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/ranges.h>

#include "device/examples/field_value.h"

namespace tributary {
namespace {

constexpr uint64_t kMostRows = 1'000'000;
constexpr size_t kMostColumns = 10'000;

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) { return (a | 0x20) == b; });
}

bool IsMissing(const TableCell& cell) {
  if (std::holds_alternative<std::monostate>(cell)) return true;
  if (const auto* real = std::get_if<double>(&cell)) return std::isnan(*real);
  const auto* text = std::get_if<std::string_view>(&cell);
  return text && (text->empty() || EqualsIgnoringCase(*text, "nan") || EqualsIgnoringCase(*text, "na") ||
                  EqualsIgnoringCase(*text, "null"));
}

Status AppendCell(DType dtype, const TableCell& cell, Bytes& to) {
  if (const auto* text = std::get_if<std::string_view>(&cell)) {
    const Status taken = AppendText(dtype, *text, to);
    Bytes number;
    if (taken || AppendText(DType::kFp64, *text, number)) return taken;
    return Fail(Code::kBadExample, "{}; if it is a column of texts, name it with --category", taken.error().message);
  }
  if (const auto* whole = std::get_if<int64_t>(&cell)) return AppendWhole(dtype, *whole, to);
  if (const auto* real = std::get_if<double>(&cell)) return AppendReal(dtype, *real, to);
  return Fail(Code::kBadExample, "is bytes, not a number; give the type and shape: --field NAME=COLUMN:FP32[24]");
}

// Numbers separated by spaces.
Status AppendList(DType dtype, std::string_view text, Bytes& to) {
  while (!text.empty()) {
    const size_t space = std::min(text.find(' '), text.size());
    if (space > 0) RETURN_IF_ERROR(AppendText(dtype, text.substr(0, space), to));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return {};
}

}  // namespace

Result<TableRows> TableRows::Make(std::string file, std::vector<std::string> columns, TableOptions options) {
  TableRows rows(std::move(file), std::move(columns), std::move(options));
  RETURN_IF_ERROR(rows.Plan());
  return rows;
}

Result<size_t> TableRows::ColumnNamed(std::string_view name) const {
  const auto found = std::ranges::find(columns_, name);
  if (found != columns_.end() && std::find(found + 1, columns_.end(), name) != columns_.end())
    return Fail(Code::kInvalidArgument, "{} has several columns '{}', so that it is not clear which is meant", file_, name);
  if (found != columns_.end()) return static_cast<size_t>(found - columns_.begin());
  return Fail(Code::kInvalidArgument, "{} has no column '{}'; it has: {}", file_, name, fmt::join(columns_, ", "));
}

Status TableRows::Plan() {
  const auto invalid = [&](std::string_view what) { return Fail(Code::kInvalidArgument, "{}: {}", file_, what); };
  if (columns_.empty() || columns_.size() > kMostColumns) return invalid("a table has 1 to 10,000 columns");
  if (options_.rows > kMostRows || options_.horizon > kMostRows || options_.stride < 1 || options_.stride > kMostRows)
    return invalid("--rows, --stride and --horizon are at most 1,000,000");
  if (options_.rows == 0 && (options_.horizon > 0 || !options_.targets.empty()))
    return invalid("--target and --horizon are for windows: give --rows too");
  if (options_.targets.empty() != (options_.horizon == 0)) return invalid("--target and --horizon go together");
  if (options_.rows > 0 && !options_.id.empty()) return invalid("a window has many rows, so --id cannot name it");
  if (!options_.id.empty()) {
    ASSIGN_OR_RETURN(id_, ColumnNamed(options_.id));
  }
  if (!options_.group.empty()) {
    ASSIGN_OR_RETURN(group_, ColumnNamed(options_.group));
  }
  if (options_.fields.empty()) {
    for (size_t column = 0; column < columns_.size(); ++column) {
      if (column == id_ || column == group_) continue;
      RETURN_IF_ERROR(PlanField({.name = FieldNameOf(columns_[column]), .sources = {columns_[column]}}, false));
    }
  }
  for (const FieldRequest& request : options_.fields) RETURN_IF_ERROR(PlanField(request, false));
  for (const FieldRequest& request : options_.targets) RETURN_IF_ERROR(PlanField(request, true));
  RETURN_IF_ERROR(CheckCategoriesAreUsed());
  for (size_t column = 0; column < columns_.size(); ++column) {
    const bool used = column == id_ || column == group_ || std::ranges::any_of(parts_, [&](const Part& part) {
                        return std::ranges::find(part.columns, column) != part.columns.end();
                      });
    if (used) used_.push_back(column);
  }
  last_.resize(columns_.size());
  kept_.resize(columns_.size());
  return {};
}

Status TableRows::CheckCategoriesAreUsed() const {
  for (const std::string& category : options_.categories) {
    ASSIGN_OR_RETURN(const size_t column, ColumnNamed(category));
    const bool used = std::ranges::any_of(
        parts_, [&](const Part& part) { return std::ranges::find(part.columns, column) != part.columns.end(); });
    if (used) continue;
    return Fail(Code::kInvalidArgument, "{}: the column {} is a --category but in no --field; add --field {}={}", file_,
                category, FieldNameOf(category), category);
  }
  return {};
}

Status TableRows::PlanField(const FieldRequest& request, bool is_target) {
  Part part{
      .of_row = {request.name, request.dtype, request.shape}, .columns = {}, .is_category = {}, .is_target = is_target};
  for (const std::string& source : request.sources) {
    ASSIGN_OR_RETURN(const size_t column, ColumnNamed(source));
    part.columns.push_back(column);
    part.is_category.push_back(std::ranges::find(options_.categories, source) != options_.categories.end());
  }
  const bool all_categories = std::ranges::find(part.is_category, false) == part.is_category.end();
  if (!all_categories && std::ranges::find(part.is_category, true) != part.is_category.end()) {
    return Fail(Code::kInvalidArgument,
                "{}: the field {} mixes a --category with columns of numbers; give each of the two a --field of its own", file_,
                request.name);
  }
  if (!request.typed && all_categories) part.of_row.dtype = DType::kInt64;
  if (part.columns.size() > 1) {
    if (!request.shape.empty())
      return Fail(Code::kInvalidArgument, "field {} of several columns has their number as its shape", request.name);
    part.of_row.shape = {static_cast<int64_t>(part.columns.size())};
  }
  ExampleField field = part.of_row;
  if (options_.rows > 0) {
    if (field.varies()) return Fail(Code::kInvalidArgument, "field {} of a window cannot vary", request.name);
    field.shape.insert(field.shape.begin(), static_cast<int64_t>(is_target ? options_.horizon : options_.rows));
  }
  RETURN_IF_ERROR(CheckExampleField(field));
  fields_.push_back(std::move(field));
  parts_.push_back(std::move(part));
  return {};
}

std::string TableRows::Where(uint64_t number) const { return fmt::format("{}: row {}", file_, number); }

Result<bool> TableRows::FillMissing(std::span<const TableCell> cells) {
  cells_.assign(cells.begin(), cells.end());
  if (group_ != SIZE_MAX && options_.missing == MissingValue::kForwardFill && !IsMissing(cells_[group_])) {
    // Values of one group must not stand in an example of another, which is erased without them.
    ASSIGN_OR_RETURN(std::string group, NameIn(group_));
    if (group != filled_group_) last_.assign(columns_.size(), {});
    filled_group_ = std::move(group);
  }
  for (const size_t column : used_) {
    TableCell& cell = cells_[column];
    const bool missing = IsMissing(cell);
    const bool is_name = column == id_ || column == group_;
    if (missing && is_name && options_.missing == MissingValue::kForwardFill)
      return Fail(Code::kBadExample, "column {} has no value; an id or a group is not filled in", columns_[column]);
    if (missing && options_.missing == MissingValue::kRefuse) {
      return Fail(Code::kBadExample,
                  "column {} has no value; say with --missing skip or --missing forward-fill what it "
                  "means",
                  columns_[column]);
    }
    if (missing && options_.missing == MissingValue::kSkip) return false;
    if (options_.missing != MissingValue::kForwardFill) continue;
    if (missing) {
      if (IsMissing(last_[column])) return false;
      cell = last_[column];
      continue;
    }
    last_[column] = cell;
    if (const auto* text = std::get_if<std::string_view>(&cell)) {
      kept_[column] = *text;
      last_[column] = std::string_view(kept_[column]);
    } else if (const auto* bytes = std::get_if<ByteView>(&cell)) {
      kept_[column] = AsText(*bytes);
      last_[column] = AsBytes(kept_[column]);
    }
  }
  return true;
}

Result<std::string> TableRows::NameIn(size_t column) const {
  const TableCell& cell = cells_[column];
  if (const auto* text = std::get_if<std::string_view>(&cell)) return std::string(*text);
  if (const auto* whole = std::get_if<int64_t>(&cell)) return fmt::format("{}", *whole);
  if (const auto* real = std::get_if<double>(&cell)) return fmt::format("{}", *real);
  return Fail(Code::kBadExample, "column {} is bytes, not text", columns_[column]);
}

Status TableRows::Convert(const Part& part, ExampleSink& sink, RowValues& to) const {
  Bytes& values = to.of_part.emplace_back();
  const DType dtype = part.of_row.dtype;
  for (size_t i = 0; i < part.columns.size(); ++i) {
    const TableCell& cell = cells_[part.columns[i]];
    Status taken;
    if (part.is_category[i]) {
      ASSIGN_OR_RETURN(const std::string text, NameIn(part.columns[i]));
      ASSIGN_OR_RETURN(const int64_t code, sink.CodeOf(part.of_row.name, text));
      taken = AppendWhole(dtype, code, values);
    } else if (const auto* bytes = std::get_if<ByteView>(&cell); bytes && !part.of_row.shape.empty()) {
      Append(values, *bytes);
    } else if (const auto* text = std::get_if<std::string_view>(&cell);
               text && part.columns.size() == 1 && !part.of_row.shape.empty()) {
      taken = AppendList(dtype, *text, values);
    } else {
      taken = AppendCell(dtype, cell, values);
    }
    if (!taken) return Fail(taken.error().code, "column {}: {}", columns_[part.columns[i]], taken.error().message);
  }
  const uint64_t size = SizeOf(dtype);
  const uint64_t unit = part.of_row.elements() * size;
  const bool fits = part.of_row.varies() ? values.size() % unit == 0 : values.size() == unit;
  if (!fits || values.size() > kExampleBytes) {
    return Fail(Code::kBadExample, "column {} has {} values, which are not of {}", columns_[part.columns[0]],
                values.size() / size, FieldText(part.of_row));
  }
  if (part.of_row.varies()) to.lengths.push_back(static_cast<uint32_t>(values.size() / size));
  return {};
}

Status TableRows::Put(std::span<const TableCell> cells, uint64_t number, ExampleSink& sink) {
  const auto bad = [&](const Error& error) {
    window_.clear();
    return sink.Bad(error, Where(number));
  };
  if (cells.size() != columns_.size()) {
    return bad({Code::kBadExample, fmt::format("has {} values, there are {} columns", cells.size(), columns_.size())});
  }
  const auto filled = FillMissing(cells);
  if (!filled) return bad(filled.error());
  if (!*filled) {
    sink.Skip();
    window_.clear();
    return {};
  }
  RowValues values;
  values.of_part.reserve(parts_.size());
  for (const Part& part : parts_) {
    const Status converted = Convert(part, sink, values);
    if (converted) continue;
    const Code code = converted.error().code;
    return code == Code::kBadExample || code == Code::kTooLarge ? bad(converted.error()) : converted;
  }
  NewExample example;
  for (const auto& [column, name] : {std::pair{id_, &example.id}, {group_, &example.group}}) {
    if (column == SIZE_MAX) continue;
    auto text = NameIn(column);
    if (!text) return bad(text.error());
    *name = std::move(*text);
  }
  if (options_.rows > 0) {
    window_.push_back(std::move(values));
    return PutWindow(number, example, sink);
  }
  for (const Bytes& part : values.of_part) Append(example.values, part);
  example.lengths = std::move(values.lengths);
  return sink.Put(example, Where(number));
}

Status TableRows::PutWindow(uint64_t number, const NewExample& row, ExampleSink& sink) {
  if (row.group != window_group_) {
    window_group_ = row.group;
    window_.erase(window_.begin(), window_.end() - 1);
    skip_ = 0;
  }
  if (skip_ > 0) {
    --skip_;
    window_.clear();
  }
  if (window_.size() < options_.rows + options_.horizon) return {};
  NewExample example = row;
  for (size_t part = 0; part < parts_.size(); ++part) {
    const size_t first = parts_[part].is_target ? options_.rows : 0;
    const size_t count = parts_[part].is_target ? options_.horizon : options_.rows;
    for (size_t i = first; i < first + count; ++i) Append(example.values, window_[i].of_part[part]);
  }
  const size_t gone = std::min<size_t>(options_.stride, window_.size());
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(gone));
  skip_ = options_.stride - gone;
  return sink.Put(example, Where(number));
}

}  // namespace tributary
