#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/records/evaluation_spread.h"
#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "aggregator/records/watch_records.h"
#include "protocol/base/sql/database.h"
#include "protocol/payload/evaluation.h"

// The SQL of what the aggregator watches: members, gateways, device states and evaluations.
namespace tributary {

// Members that were heard of.
class MemberTable : Tables {
 public:
  using Tables::Tables;
  Status Save(const MemberRecord& member);
  // In the order of their ids, without rows that cannot be read, which are logged.
  Result<std::vector<MemberRecord>> All();
};

// The last state of each gateway.
class GatewayTable : Tables {
 public:
  using Tables::Tables;
  Status Save(const GatewayRecord& gateway);
  // In the order of their ids, without rows that cannot be read, which are logged. A state that this version does not
  // read any more comes back empty but for its gateway.
  Result<std::vector<GatewayRecord>> All();
  // Those whose last state came before `since`.
  Status ForgetBefore(WallTime since) { return database_.Write("DELETE FROM gateways WHERE last_seen < ?", since); }
};

// The newest state of each device.
class DeviceStateTable : Tables {
 public:
  using Tables::Tables;

  Status Save(const DeviceStateRecord& record);
  // kCorrupt: a state that this program does not read.
  Result<std::optional<DeviceStateRecord>> Find(const DeviceId& device);
  Status Remove(const DeviceId& device) {
    return database_.Write("DELETE FROM device_reports WHERE device = ?", device);
  }
  // In the order of the devices' ids, without rows that cannot be read, which are logged.
  Result<std::vector<DeviceStateRecord>> List(const Slice<DeviceId>& slice);
};

// One result of one member's evaluation upload. (task, version, device, model) is its identity.
struct EvaluationRecord {
  TaskId task;
  ModelVersion version{};
  DeviceId device;
  std::string role;
  UploadId upload;
  EvaluationResult result;
  WallTime received;
  // A device's counts once the device's own update is in a round's sum on that version: it comes before that.
  bool counts = true;
};

// Metrics over the evaluations of one version.
struct EvaluationTotal {
  uint64_t reports = 0;  // evaluations
  std::map<std::string, MetricTotal> metrics;
  MetricMeans means() const;
};
using TotalsByVersion = std::map<ModelVersion, EvaluationTotal>;
// Of the versions of a task, by who measured what (MetricViews).
struct EvaluationTotals {
  TotalsByVersion global, personal, local;
};
inline MetricMeans MeansAt(const TotalsByVersion& totals, ModelVersion version) {
  const auto found = totals.find(version);
  return found == totals.end() ? MetricMeans{} : found->second.means();
}

// Evaluations and their totals per version, role, model and metric. Insert writes several rows: call it in a transaction.
class EvaluationTable : Tables {
 public:
  using Tables::Tables;

  // At most so many names of metrics are added up per version, role and model: 18 are in one evaluation, and the rest is
  // room for devices that do not agree.
  static constexpr uint64_t kMostNames = 64;

  // Who measured what, as the rows say it.
  struct View {
    std::string_view role;
    EvaluatedModel model;
  };

  // kMalformed: a metric that has no total (metric_total.h), or, of one that counts, a total that does not fit or a
  // name over kMostNames.
  Status Insert(const EvaluationRecord& evaluation);
  // The device is in a round's sum on this version: adds to the totals what it measured of that and does not count yet.
  // kMalformed as above, kCorrupt: nothing of the result in question was added.
  Status Count(const TaskId& task, ModelVersion version, const DeviceId& device);
  Result<bool> Has(const EvaluationRecord& evaluation) {
    return database_.QueryHas("SELECT 1 FROM evaluations WHERE task = ? AND version = ? AND device = ? AND model = ?",
                              evaluation.task, evaluation.version, evaluation.device, evaluation.result.model);
  }
  Result<bool> HasUpload(const DeviceId& device, const UploadId& upload) {
    return database_.QueryHas("SELECT 1 FROM evaluations WHERE upload = ? AND device = ? LIMIT 1", upload, device);
  }
  // Of the versions from `first` to `last`.
  Result<EvaluationTotals> Totals(const TaskId& task, ModelVersion first, ModelVersion last);
  // Of a version, those that count: all of a member's, and a slice is of members.
  Result<std::vector<MemberResult>> Results(const TaskId& task, ModelVersion version, const Slice<DeviceId>& slice);
  // Of the newest version that has been evaluated, for each view by itself.
  Result<MetricViews> Newest(const TaskId& task);

 private:
  using MetricTotals = std::map<std::string, MetricTotal>;
  // All of them or none.
  Status AddToTotals(const TaskId& task, ModelVersion version, const View& view, const MetricTotals& metrics);
};

}  // namespace tributary
