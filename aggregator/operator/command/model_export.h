#pragma once

#include <cstdint>
#include <string>

#include "aggregator/operator/command/api_client.h"

namespace tributary {

struct ExportOptions {
  std::string task;
  uint64_t version = 0;  // 0: the latest
  Path out;
};

struct ExportedModel {
  uint64_t version = 0;
  Digest weights;
};

// Writes a version of a task as TorchScript that torch.jit.load opens: downloads module and weights, checks their
// digests, and has `tributary-device export` put them together, since only that program links LibTorch. kNotFound when
// it is not installed; kChildFailed with its words; the errors of ApiClient.
Result<ExportedModel> ExportModel(ApiClient& client, const ExportOptions& options);

}  // namespace tributary
