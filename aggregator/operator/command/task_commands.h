#pragma once

#include <cstdint>
#include <string>

#include "aggregator/operator/command/context.h"
#include "aggregator/records/records.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/model_package.h"

namespace tributary {

// Tasks and the model versions that came of them. Adds `task create, list, show` and `models list, export`. `app` and
// `context` must outlive parsing, here and for every Add…Commands of `tributary`.
void AddTaskCommands(CLI::App& app, Context& context);

// Errors: of ReadFile, DecodeModelPackage.
Result<ModelPackage> ReadModelPackage(const Path& file);
// Creates `task`, which has its id, plan, policy and bounds, from the package. Returns it as the API shows it.
Result<Json> CreateTaskOfPackage(ApiClient& client, TaskRecord task, const ModelPackage& package);

struct ExportOptions {
  std::string task;
  uint64_t version = 0;  // 0: the latest
  Path out;
};

struct ExportedModel {
  uint64_t version = 0;
  Digest weights;
  std::string note;        // what `tributary-device export` said of the model, such as how its inputs are scaled
  bool is_arrays = false;  // the file is a .npz
};

// Writes a version of a task as TorchScript that torch.jit.load opens: downloads module and weights, checks their
// digests, and has `tributary-device export` put them together, since only that program links LibTorch. A task without a
// module is written as a .npz, one array for each tensor. kNotFound: that
// program is not installed; kChildFailed carries its words; the errors of ApiClient.
Result<ExportedModel> ExportModel(ApiClient& client, const ExportOptions& options);

// Reads a task's plan, policy and bounds into `task`, which holds the defaults. In TOML: the tables [training], [round]
// and [bounds], every key optional. Errors are those of ConfigReader: each names the line.
Status ReadTaskPlan(const Path& file, TaskRecord& task);

// The part of --help about such a file: every key with its default and bounds.
std::string TaskPlanManual();

}  // namespace tributary
