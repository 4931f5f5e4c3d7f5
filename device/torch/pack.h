#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/model_package.h"
#include "protocol/plan/training_plan.h"

namespace tributary {

// The built-in losses as a plan names them, in the order of Loss.
inline constexpr std::string_view kLossNames[] = {"cross_entropy", "mean_squared_error", "binary_cross_entropy", "l1", "huber"};

struct PackOptions {
  std::optional<Loss> loss;  // to try; nullopt: one that suits the target. The task's plan names the one that is used
  // Called when a part of the work begins, with its name.
  std::function<void(std::string_view)> begins = [](std::string_view) {};
};

struct PackedModel {
  ModelPackage package;
  std::string report;  // a table for a person: what was found and tried
};

// Makes a task's package of a TorchScript archive: reads module and manifest, refuses what cannot be trained or would be
// trained wrongly (module_faults.h), tries it (trial.h), and takes the shared weights out of the module. Takes the archive's
// bytes, so that no more than three times the model is in memory. Without a tributary.json the module must be one for
// ManifestOfImages(); if it is not, the error shows a manifest to begin with. Errors: those of Model::Load, CheckTrainable
// and TryModel.
Result<PackedModel> PackModule(Bytes archive, const PackOptions& options);

// The same of a file of arrays (array_file.h): there is nothing to try.
Result<PackedModel> PackArrays(ByteView file);

}  // namespace tributary
