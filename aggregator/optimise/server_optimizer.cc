#include "aggregator/optimise/server_optimizer.h"

#include <cmath>
#include <string>

#include <Eigen/Core>

namespace tributary {

Result<std::vector<float>> FedAvgStep(std::span<const float> present, std::span<const double> mean_update) {
  if (present.size() != mean_update.size()) {
    return Fail(Code::kWrongTensorCount, "weights: " + std::to_string(present.size()) +
                                             " values, mean update: " + std::to_string(mean_update.size()));
  }
  const auto count = static_cast<Eigen::Index>(present.size());
  const Eigen::Map<const Eigen::ArrayXf> weights(present.data(), count);
  const Eigen::Map<const Eigen::ArrayXd> update(mean_update.data(), count);
  std::vector<float> next(present.size());
  Eigen::Map<Eigen::ArrayXf> result(next.data(), count);
  result = (weights.cast<double>() + update).cast<float>();
  if (!result.isFinite().all()) {
    Eigen::Index bad = 0;
    while (std::isfinite(result[bad])) ++bad;
    return Fail(Code::kNotFinite, "weight " + std::to_string(bad) + " would be " + std::to_string(result[bad]));
  }
  return next;
}

}  // namespace tributary
