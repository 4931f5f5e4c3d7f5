#include "device/import/csv_reader.h"

#include <csv.h>

#include <functional>
#include <utility>

#include "device/import/byte_source.h"

namespace tributary {
namespace {

constexpr size_t kCsvPiece = size_t{64} * 1024;

// Splits a file into rows. Call Run once; `on_row` gets the values and the number of each row, the first is 1. Its first
// error ends the run; false from it does too.
class CsvRows {
 public:
  using OnRow = std::function<Result<bool>(std::span<const TableCell> cells, uint64_t number)>;

  CsvRows(const Path& file, char delimiter, OnRow on_row) : file_(file), on_row_(std::move(on_row)) {
    csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);
    // Its buffer would grow by 128 bytes, each time a copy: a long field took the square of its length.
    csv_set_blk_size(&parser_, size_t{1} << 20);
    csv_set_delim(&parser_, static_cast<unsigned char>(delimiter));
  }
  ~CsvRows() { csv_free(&parser_); }
  CsvRows(const CsvRows&) = delete;
  CsvRows& operator=(const CsvRows&) = delete;

  Status Run() {
    ASSIGN_OR_RETURN(const auto source, OpenSource(file_));
    Bytes piece(kCsvPiece);
    bool first = true;
    while (!ended_) {
      ASSIGN_OR_RETURN(const size_t got, source->Read(piece));
      ByteView bytes = ByteView(piece).first(got);
      // A byte order mark is no part of the first name.
      if (std::exchange(first, false) && AsText(bytes).starts_with("\xEF\xBB\xBF")) bytes = bytes.subspan(3);
      if (csv_parse(&parser_, bytes.data(), bytes.size(), OnCell, OnRowEnd, this) != bytes.size()) return Broken();
      if (csv_get_buffer_size(&parser_) > kExampleBytes) too_large_ = true;
      if (too_large_) {
        return Fail(Code::kTooLarge, "{}: row {} has over {} bytes, or a quote is never closed", file_.string(),
                    number_ + 1, kExampleBytes);
      }
      if (got < piece.size()) break;
    }
    if (!ended_ && csv_fini(&parser_, OnCell, OnRowEnd, this) != 0) return Broken();
    return status_;
  }

 private:
  Status Broken() {
    const int code = csv_error(&parser_);
    return Fail(code == CSV_EPARSE ? Code::kCorrupt : Code::kTooLarge,
                "{}: row {}: {}; a quote inside a quoted value is written twice", file_.string(), number_ + 1,
                csv_strerror(code));
  }
  static void OnCell(void* text, size_t size, void* self) { static_cast<CsvRows*>(self)->TakeCell(text, size); }
  static void OnRowEnd(int, void* self) { static_cast<CsvRows*>(self)->EndRow(); }

  void TakeCell(const void* text, size_t size) {
    if (ended_ || too_large_) return;
    if (text_.size() + size > kExampleBytes || ends_.size() >= kExampleBytes / 64) {
      too_large_ = true;
      return;
    }
    text_.append(static_cast<const char*>(text), size);
    ends_.push_back(text_.size());
  }

  void EndRow() {
    if (ended_ || too_large_) return;
    cells_.clear();
    size_t begin = 0;
    for (const size_t end : ends_) {
      cells_.emplace_back(std::string_view(text_).substr(begin, end - begin));
      begin = end;
    }
    const auto more = on_row_(cells_, ++number_);
    if (!more) status_ = Fail(more.error());
    ended_ = !more || !*more;
    text_.clear();
    ends_.clear();
  }

  const Path& file_;
  OnRow on_row_;
  csv_parser parser_;
  std::string text_;          // the values of the row, one after another
  std::vector<size_t> ends_;  // of each in text_
  std::vector<TableCell> cells_;
  uint64_t number_ = 0;
  bool too_large_ = false;
  bool ended_ = false;
  Status status_;
};

class CsvReader final : public ExampleReader {
 public:
  CsvReader(Path file, CsvOptions csv, TableRows rows) : file_(std::move(file)), csv_(csv), rows_(std::move(rows)) {}
  const std::vector<ExampleField>& fields() const override { return rows_.fields(); }

  Status Read(ExampleSink& sink) override {
    CsvRows rows(file_, csv_.delimiter, [&](std::span<const TableCell> cells, uint64_t number) -> Result<bool> {
      if (csv_.has_header && number == 1) return true;
      RETURN_IF_ERROR(rows_.Put(cells, number, sink));
      return true;
    });
    return rows.Run();
  }

 private:
  const Path file_;
  const CsvOptions csv_;
  TableRows rows_;
};

}  // namespace

Result<std::unique_ptr<ExampleReader>> OpenCsv(const Path& file, const CsvOptions& csv, TableOptions table) {
  std::vector<std::string> columns;
  CsvRows first(file, csv.delimiter, [&](std::span<const TableCell> cells, uint64_t) -> Result<bool> {
    for (const TableCell& cell : cells) {
      columns.push_back(csv.has_header ? std::string(std::get<std::string_view>(cell))
                                       : fmt::format("c{}", columns.size() + 1));
    }
    return false;
  });
  RETURN_IF_ERROR(first.Run());
  if (columns.empty()) return Fail(Code::kCorrupt, "{} has no rows", file.string());
  ASSIGN_OR_RETURN(TableRows rows, TableRows::Make(file.string(), std::move(columns), std::move(table)));
  return std::make_unique<CsvReader>(file, csv, std::move(rows));
}

}  // namespace tributary
