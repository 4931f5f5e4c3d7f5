#pragma once

#include <optional>

#include "aggregator/records/records.h"
#include "protocol/base/file.h"

namespace tributary {

// Reads a task's plan, policy and bounds into `task`, which holds the defaults. In TOML, every key optional:
//   [training]  loss, optimizer, learning_rate, momentum, weight_decay, batch_size, epochs, max_steps, seed
//   [round]     report_goal, minimum, deadline_seconds, inclusion
//   [bounds]    value, norm, max_weight
// Errors are those of ConfigReader: each names the line.
Status ReadTaskPlan(const Path& file, TaskRecord& task);

}  // namespace tributary
