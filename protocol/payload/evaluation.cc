#include "protocol/payload/evaluation.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "protocol/base/ids.h"
#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"

namespace tributary {
namespace {

// Two models are evaluated today; the rest is room for device classes' own subsets.
constexpr unsigned kMostResults = 16;
constexpr unsigned kMostMetrics = 18;  // a manifest names 16; beside them stand loss and accuracy

void Write(const EvaluationResult& from, schema::EvaluationResult::Builder to) {
  to.setSubject(static_cast<uint8_t>(from.model));
  to.setExamples(from.examples);
  to.setMillis(from.millis);
  auto metrics = to.initMetrics(static_cast<unsigned>(from.metrics.size()));
  unsigned i = 0;
  for (const auto& [name, metric] : from.metrics) {
    metrics[i].setName(wire::ToText(name));
    metrics[i].setSum(metric.sum);
    metrics[i++].setWeight(metric.weight);
  }
}

// The metrics of a result from before there were metrics by name.
Result<TaskMetrics> ReadOldForm(schema::EvaluationResult::Reader from) {
  if (!(from.getObsoleteAccuracy() >= 0 && from.getObsoleteAccuracy() <= 1))
    return Fail(Code::kMalformed, "accuracy {} is outside 0 to 1", from.getObsoleteAccuracy());
  const auto weight = static_cast<double>(from.getExamples());
  return TaskMetrics{{"loss", {from.getObsoleteLoss() * weight, weight}},
                     {"accuracy", {from.getObsoleteAccuracy() * weight, weight}}};
}

Result<TaskMetrics> ReadMetrics(capnp::List<schema::Metric>::Reader from) {
  if (from.size() > kMostMetrics) return Fail(Code::kMalformed, "{} metrics are over the limit", from.size());
  TaskMetrics to;
  for (const auto metric : from) {
    const std::string_view name = wire::View(metric.getName());
    RETURN_IF_ERROR(CheckName(name, "metric"));
    const TaskMetric value{metric.getSum(), metric.getWeight()};
    if (!to.emplace(name, value).second) return Fail(Code::kMalformed, "metric {} stands twice", name);
  }
  return to;
}

Status CheckMetrics(const TaskMetrics& metrics) {
  if (!metrics.contains("loss")) return Fail(Code::kMalformed, "an evaluation has no loss");
  for (const auto& [name, metric] : metrics) {
    if (!std::isfinite(metric.sum) || !(metric.weight >= 0 && std::isfinite(metric.weight)))
      return Fail(Code::kMalformed, "metric {} is {} of {}", name, metric.sum, metric.weight);
  }
  return {};
}

Result<EvaluationResult> Read(schema::EvaluationResult::Reader from) {
  EvaluationResult to{static_cast<EvaluatedModel>(from.getSubject()), from.getExamples(), from.getMillis(), {}};
  if (to.model != EvaluatedModel::kGlobal && to.model != EvaluatedModel::kPersonal)
    return Fail(Code::kMalformed, "evaluated model {} is not known", from.getSubject());
  if (to.examples > limits::kCounter || to.millis > limits::kCounter)
    return Fail(Code::kMalformed, "an evaluation of {} examples in {} ms", to.examples, to.millis);
  ASSIGN_OR_RETURN(to.metrics, from.hasMetrics() ? ReadMetrics(from.getMetrics()) : ReadOldForm(from));
  RETURN_IF_ERROR(CheckMetrics(to.metrics));
  return to;
}

Result<std::vector<EvaluationResult>> Read(schema::Evaluation::Reader from) {
  const auto results = from.getResults();
  if (results.size() == 0 || results.size() > kMostResults)
    return Fail(Code::kMalformed, "an evaluation has 1 to {} results, not {}", unsigned{kMostResults}, results.size());
  std::vector<EvaluationResult> to;
  for (const auto result : results) {
    ASSIGN_OR_RETURN(EvaluationResult one, Read(result));
    to.push_back(std::move(one));
  }
  return to;
}

}  // namespace

Bytes EncodeEvaluation(const std::vector<EvaluationResult>& results) {
  return wire::EncodeCanonical<schema::Evaluation>([&](schema::Evaluation::Builder to) {
    auto list = to.initResults(static_cast<unsigned>(results.size()));
    for (unsigned i = 0; i < results.size(); ++i) Write(results[i], list[i]);
  });
}

Result<std::vector<EvaluationResult>> DecodeEvaluation(ByteView bytes) {
  const auto read = [](schema::Evaluation::Reader from) { return Read(from); };
  return wire::DecodeCanonical<schema::Evaluation>(bytes, "evaluation", read, limits::kRecordBytes);
}

}  // namespace tributary
