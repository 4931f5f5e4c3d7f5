#pragma once

#include <functional>
#include <string>

#include "protocol/base/file.h"

namespace tributary {

// The damage that a disk, or somebody's hand, may do to a database: calls `look` once for each column of each of its tables and
// each value that does not belong there (none, another kind, negative, huge, not UTF-8), which then stands in every row
// that takes it. `folder` holds the database and all that goes with it; nobody may have it open. It is as it was before
// each call, but for the damage, and after the last. `what`: "members.role = integer -1", for messages.
void ForEachDamage(const Path& folder, const Path& database, const std::function<void(const std::string& what)>& look);

}  // namespace tributary
