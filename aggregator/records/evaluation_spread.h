#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/records/metric_total.h"
#include "protocol/base/ids.h"
#include "protocol/plan/task_manifest.h"

namespace tributary {

// What one member measured of a version, and counts; the views that it has are those of MetricViews.
struct MemberResult {
  DeviceId member;
  std::string role;       // "device" or "evaluator"
  bool personal = false;  // the model that the device fine-tuned; else the version itself
  std::map<std::string, MetricTotal> metrics;
};

// How the members' own means of one metric lie.
struct MetricSpread {
  uint64_t members = 0;
  double weighted = 0;   // the mean by what the members weigh, as MetricViews has it
  double mean = 0;       // of the members, each counting the same
  double deviation = 0;  // of the same, with n - 1; 0 for one member
  double least = 0, most = 0;
  // The mean of the worst tenth of the members, at least one. Absent: nobody said which direction is better.
  std::optional<double> worst_tenth = {};
};

// Collects the members' means of one metric. The spread has the same bits in whatever order they come.
class SpreadOfMetric {
 public:
  // A total of which nothing was counted is left out.
  void Add(const MetricTotal& total);
  // Of at least one member; nullopt: of none.
  std::optional<MetricSpread> Report(std::optional<MetricDirection> better) const;

 private:
  std::vector<double> means_;
  MetricTotal total_;
};

// The direction that is better: the manifest's; smaller for the loss, larger for the accuracy; else not known.
std::optional<MetricDirection> BetterDirection(const TaskManifest& manifest, const std::string& metric);

}  // namespace tributary
