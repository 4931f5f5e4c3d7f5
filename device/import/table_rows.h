#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "device/import/example_reader.h"

namespace tributary {

// A value of a table: nothing, text (also of a number), a whole number, a real one, bytes. Borrows.
using TableCell = std::variant<std::monostate, std::string_view, int64_t, double, ByteView>;

// The rule for a row without one of its values.
enum class MissingValue : uint8_t {
  kRefuse,       // a bad row
  kSkip,         // it is left out
  kForwardFill,  // it has the value of the row before
};

// How the rows of a table become examples.
struct TableOptions {
  std::vector<FieldRequest> fields;     // empty: every column is one
  std::vector<FieldRequest> targets;    // of windows
  std::vector<std::string> categories;  // columns whose texts become numbers
  std::string id, group;                // columns; empty: none
  MissingValue missing = MissingValue::kRefuse;
  uint64_t rows = 0;     // of a window; 0: every row is an example
  uint64_t stride = 1;   // rows from one window to the next
  uint64_t horizon = 0;  // rows behind the window that the targets have
};

// Makes examples of the rows of a table, or of windows of rows: the fields have the values of `rows` rows in a row, the
// targets those of the `horizon` rows that follow. A window never goes over a row that was left out, or from one group to
// another.
class TableRows {
 public:
  // kInvalidArgument: options that do not go together, or a column that is not there; lists those that are.
  static Result<TableRows> Make(std::string file, std::vector<std::string> columns, TableOptions options);

  const std::vector<ExampleField>& fields() const { return fields_; }
  // The next row; `number` is for errors. Errors: those of the sink.
  Status Put(std::span<const TableCell> cells, uint64_t number, ExampleSink& sink);

 private:
  // One field: where its values stand.
  struct Part {
    ExampleField of_row;  // its values of one row
    std::vector<size_t> columns;
    std::vector<bool> is_category;  // as columns
    bool is_target = false;
  };
  struct RowValues {
    std::vector<Bytes> of_part;
    std::vector<uint32_t> lengths;
  };

  TableRows(std::string file, std::vector<std::string> columns, TableOptions options)
      : file_(std::move(file)), columns_(std::move(columns)), options_(std::move(options)) {}
  Status Plan();
  Status CheckCategoriesAreUsed() const;
  Status PlanField(const FieldRequest& request, bool is_target);
  Result<size_t> ColumnNamed(std::string_view name) const;
  std::string Where(uint64_t number) const;
  // False: there is a value missing, and the row is left out.
  Result<bool> FillMissing(std::span<const TableCell> cells);
  Status Convert(const Part& part, ExampleSink& sink, RowValues& to) const;
  Result<std::string> NameIn(size_t column) const;
  Status PutWindow(uint64_t number, const NewExample& row, ExampleSink& sink);

  std::string file_;
  std::vector<std::string> columns_;
  TableOptions options_;
  std::vector<ExampleField> fields_;
  std::vector<Part> parts_;
  std::vector<size_t> used_;  // columns that must have a value
  size_t id_ = SIZE_MAX, group_ = SIZE_MAX;

  std::vector<TableCell> cells_;
  // For kForwardFill: the last value of each column, and its text or bytes.
  std::vector<TableCell> last_;
  std::vector<std::string> kept_;
  std::string filled_group_;           // of the values in last_
  std::deque<RowValues> window_;
  std::string window_group_;
  uint64_t skip_ = 0;  // rows between two windows that are in neither
};

}  // namespace tributary
