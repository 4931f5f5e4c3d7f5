#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/records/records.h"
#include "protocol/base/result.h"

// Tasks as openapi.yaml describes them, and the blobs they are made from. Digests are hexadecimal.
namespace tributary {

// A part of a task that its maker decides: the member of the JSON, the table of a plan file, and the fields of both.
struct TaskSection {
  std::string_view member;
  std::string_view table;
  std::vector<Field> fields;
};
// All parts. Whoever reads, writes or explains a task goes by them. They borrow the task.
std::vector<TaskSection> SectionsOf(TaskRecord& task);

// What a task is created from.
struct TaskRequest {
  TaskRecord task;  // id, table, module, plan, policy, server_optimizer and bounds; the rest is the aggregator's
  Digest weights;   // of the initial version
};
// `tensors`, `module` and `weights` are required; plan, policy, server_optimizer, bounds and manifest have the defaults of their structs.
// kInvalidArgument names the field, also an unknown one, and its bounds; kTooLarge; those of ParseTaskManifest.
Result<TaskRequest> TaskRequestFromJson(std::string_view body);
std::string TaskRequestToJson(const TaskRequest& request);

// What an operator changes: what is not named stays as it is in `settings`. kInvalidArgument names the field, also one
// that cannot be changed.
Status SettingsFromJson(std::string_view body, RoundSettings& settings);
std::string ToJson(const RoundSettings& settings);

std::string ToJson(const TaskRecord& task);
std::string ToJson(std::span<const TaskRecord> tasks);
std::string ToJson(const BlobRef& blob);

}  // namespace tributary
