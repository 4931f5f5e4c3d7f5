#pragma once

#include <memory>

#include "device/import/table_rows.h"
#include "protocol/base/file.h"

namespace tributary {

struct CsvOptions {
  char delimiter = ',';
  // The first row has the names of the columns; else they are called c1, c2 …
  bool has_header = true;
};

// A file of comma-separated values (RFC 4180), plain or gzip: quoted values may hold the delimiter, line ends and doubled
// quotes; spaces around a value do not count. Blank lines are no rows. kCorrupt: quotes that do not match; kTooLarge: a
// row over kExampleBytes.
Result<std::unique_ptr<ExampleReader>> OpenCsv(const Path& file, const CsvOptions& csv, TableOptions table);

}  // namespace tributary
