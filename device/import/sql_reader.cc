#include "device/import/sql_reader.h"

#include <utility>

#include "protocol/base/sql/database.h"

namespace tributary {
namespace {

TableCell CellOf(const Value& value) {
  if (const auto* whole = std::get_if<int64_t>(&value)) return *whole;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<std::string>(&value)) return std::string_view(*text);
  if (const auto* bytes = std::get_if<Bytes>(&value)) return ByteView(*bytes);
  return {};
}

class SqlReader final : public ExampleReader {
 public:
  SqlReader(std::unique_ptr<Database> database, std::string sql, TableRows rows)
      : database_(std::move(database)), sql_(std::move(sql)), rows_(std::move(rows)) {}
  const std::vector<ExampleField>& fields() const override { return rows_.fields(); }

  Status Read(ExampleSink& sink) override {
    std::vector<TableCell> cells;
    uint64_t number = 0;
    return database_->Visit(
        [&](const Row& row) {
          cells.clear();
          for (size_t column = 0; column < row.size(); ++column) cells.push_back(CellOf(row[column]));
          return rows_.Put(cells, ++number, sink);
        },
        sql_);
  }

 private:
  const std::unique_ptr<Database> database_;
  const std::string sql_;
  TableRows rows_;
};

}  // namespace

Result<std::unique_ptr<ExampleReader>> OpenSelect(const Path& file, const std::string& sql, TableOptions table) {
  ASSIGN_OR_RETURN(auto database, Database::OpenReadOnly(file));
  ASSIGN_OR_RETURN(std::vector<std::string> columns, database->ColumnsOf(sql));
  ASSIGN_OR_RETURN(TableRows rows, TableRows::Make(file.string(), std::move(columns), std::move(table)));
  return std::make_unique<SqlReader>(std::move(database), sql, std::move(rows));
}

}  // namespace tributary
