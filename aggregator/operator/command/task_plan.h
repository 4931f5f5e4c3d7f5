#pragma once

#include <string>

#include "aggregator/records/records.h"
#include "protocol/base/file.h"

namespace tributary {

// Reads a task's plan, policy and bounds into `task`, which holds the defaults. In TOML: the tables [training], [round]
// and [bounds], every key optional. Errors are those of ConfigReader: each names the line.
Status ReadTaskPlan(const Path& file, TaskRecord& task);

// The part of --help about such a file: every key with its default and bounds.
std::string TaskPlanManual();

}  // namespace tributary
