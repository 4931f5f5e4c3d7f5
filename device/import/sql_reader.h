#pragma once

#include <memory>

#include "device/import/table_rows.h"
#include "protocol/base/file.h"

namespace tributary {

// The rows of a SELECT on a SQLite database, which is opened to read only. A BLOB is a field whose type and shape are
// given: --field NAME=COLUMN:FP32[24]. kNotFound; kInvalidArgument: not one SELECT; kDatabase.
Result<std::unique_ptr<ExampleReader>> OpenSelect(const Path& file, const std::string& sql, TableOptions table);

}  // namespace tributary
