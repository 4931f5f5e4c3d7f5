#include "aggregator/store/watch_tables.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/hop/messages.h"

namespace tributary {
namespace {

// A state is stored as it travels: a check-in with nothing else in it.
Bytes StoredState(const GatewayState& report) {
  hop::CheckIn check_in;
  check_in.reports = {report};
  return hop::Encode(check_in);
}

GatewayState ReadState(const DeviceId& gateway, ByteView bytes) {
  const auto message = hop::Decode(bytes);
  const auto* check_in = message ? std::get_if<hop::CheckIn>(&*message) : nullptr;
  if (check_in != nullptr && check_in->reports.size() == 1) return check_in->reports.front();
  GatewayState unknown;
  unknown.gateway = gateway;
  return unknown;
}

Result<DeviceStateRecord> ReadDeviceState(const Row& row) {
  DeviceStateRecord record;
  Bytes bytes;
  RETURN_IF_ERROR(row.Into(record.device, record.upload, record.received, bytes));
  auto report = DecodeDeviceState(bytes);
  if (!report) return Fail(Code::kCorrupt, "the state of {}: {}", record.device.text(), report.error().ToString());
  record.report = std::move(*report);
  return record;
}

#define TRIBUTARY_WATCHED_MEMBER_COLUMNS                                                                             \
  "id, role, device_class, first_seen, last_seen, via, uploads, spooled_uploads, spooled_bytes, delivered_uploads, " \
  "connected_clients"

// The counts of members were once stored as they came; a number over 2^63 stands as a negative one.
uint64_t Counted(int64_t stored) {
  return stored < 0 ? limits::kCounter : std::min(static_cast<uint64_t>(stored), limits::kCounter);
}

Result<MemberRecord> ReadMemberRecord(const Row& row) {
  MemberRecord member;
  int64_t uploads = 0, bytes = 0, delivered = 0;
  RETURN_IF_ERROR(row.Into(member.id, member.role, member.device_class, member.first_seen, member.last_seen, member.via,
                           member.uploads, uploads, bytes, delivered, member.connected_clients));
  member.spooled_uploads = Counted(uploads);
  member.spooled_bytes = Counted(bytes);
  member.delivered_uploads = Counted(delivered);
  return member;
}

Result<GatewayRecord> ReadGateway(const Row& row) {
  GatewayRecord gateway;
  DeviceId id;
  int64_t made = 0;  // was once before 1970, by what a gateway said
  Bytes state;
  RETURN_IF_ERROR(row.Into(id, gateway.via, made, gateway.first_seen, gateway.last_seen, state));
  gateway.made = {std::clamp<int64_t>(made, 0, limits::kLatestUnixMillis)};
  gateway.report = ReadState(id, state);
  return gateway;
}

Result<MetricTotal> ReadMetric(const Row& row) {
  MetricTotal total;
  RETURN_IF_ERROR(row.Into(total.sum, total.weight));
  return total;
}

// Rows of version, name, reports, sum, weight.
Result<TotalsByVersion> ReadTotals(const Result<std::vector<Row>>& rows) {
  if (!rows) return Fail(rows.error());
  TotalsByVersion totals;
  for (const Row& row : *rows) {
    ModelVersion version{};
    std::string name;
    uint64_t reports = 0;
    MetricTotal metric;
    RETURN_IF_ERROR(row.Into(version, name, reports, metric.sum, metric.weight));
    EvaluationTotal& total = totals[version];
    total.metrics[name] = metric;
    total.reports = std::max(total.reports, reports);  // every evaluation has a loss
  }
  return totals;
}

using View = EvaluationTable::View;
constexpr View kGlobalView{"evaluator", EvaluatedModel::kGlobal};
constexpr View kPersonalView{"device", EvaluatedModel::kPersonal};
constexpr View kLocalView{"device", EvaluatedModel::kGlobal};

// The view of the fleet that people get decides nothing: a row that cannot be read is told and left out.
template <class Values, class Read>
void AddReadable(Values& values, const std::vector<Row>& rows, Read read, std::string_view sql) {
  for (const Row& row : rows) {
    if (auto value = read(row)) {
      values.push_back(std::move(*value));
    } else {
      LogFailure(LogLevel::kError, "fleet.row_not_read", value.error(), {{"statement", sql}});
    }
  }
}

template <class Read>
auto Readable(Database& database, Read read, std::string_view sql) -> decltype(database.QueryAs(read, sql)) {
  ASSIGN_OR_RETURN(const auto rows, database.Query(sql));
  typename decltype(database.QueryAs(read, sql))::value_type values;
  AddReadable(values, rows, read, sql);
  return values;
}

}  // namespace

Status MemberTable::Save(const MemberRecord& member) {
  return database_.Write(
      "INSERT INTO members (" TRIBUTARY_WATCHED_MEMBER_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET role = excluded.role, device_class = "
      "excluded.device_class, first_seen = excluded.first_seen, last_seen = excluded.last_seen, via = excluded.via, "
      "uploads = excluded.uploads, spooled_uploads = excluded.spooled_uploads, spooled_bytes = excluded.spooled_bytes, "
      "delivered_uploads = excluded.delivered_uploads, connected_clients = excluded.connected_clients",
      member.id, member.role, member.device_class, member.first_seen, member.last_seen, member.via, member.uploads,
      member.spooled_uploads, member.spooled_bytes, member.delivered_uploads, member.connected_clients);
}

Result<std::vector<MemberRecord>> MemberTable::All() {
  return Readable(database_, ReadMemberRecord, "SELECT " TRIBUTARY_WATCHED_MEMBER_COLUMNS " FROM members ORDER BY id");
}

Status GatewayTable::Save(const GatewayRecord& gateway) {
  return database_.Write(
      "INSERT INTO gateways (id, via, made, first_seen, last_seen, report) VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET via = excluded.via, made = excluded.made, first_seen = excluded.first_seen, "
      "last_seen = excluded.last_seen, report = excluded.report",
      gateway.report.gateway, gateway.via, gateway.made, gateway.first_seen, gateway.last_seen,
      StoredState(gateway.report));
}

Result<std::vector<GatewayRecord>> GatewayTable::All() {
  return Readable(database_, ReadGateway,
                  "SELECT id, via, made, first_seen, last_seen, report FROM gateways ORDER BY id");
}

Status DeviceStateTable::Save(const DeviceStateRecord& record) {
  return database_.Write(
      "INSERT INTO device_reports (device, upload, received, report) VALUES (?, ?, ?, ?) ON CONFLICT (device) DO "
      "UPDATE SET upload = excluded.upload, received = excluded.received, report = excluded.report",
      record.device, record.upload, record.received, EncodeDeviceState(record.report));
}

Result<std::optional<DeviceStateRecord>> DeviceStateTable::Find(const DeviceId& device) {
  return database_.QueryFirst(ReadDeviceState,
                              "SELECT device, upload, received, report FROM device_reports WHERE device = ?", device);
}

Result<std::vector<DeviceStateRecord>> DeviceStateTable::List(const Slice<DeviceId>& slice) {
  constexpr std::string_view kSelect =
      "SELECT device, upload, received, report FROM device_reports WHERE device > ? ORDER BY device LIMIT ?";
  std::vector<DeviceStateRecord> states;
  // Rows that cannot be read do not make the slice shorter: a short one is the list's end.
  for (Value after = slice.after.text(); states.size() < slice.most;) {
    const uint64_t wanted = slice.most - states.size();
    ASSIGN_OR_RETURN(const auto rows, database_.Query(kSelect, after, wanted));
    AddReadable(states, rows, ReadDeviceState, kSelect);
    if (rows.size() < wanted) break;
    after = rows.back()[0];
  }
  return states;
}

MetricMeans EvaluationTotal::means() const {
  MetricMeans means;
  for (const auto& [name, total] : metrics) {
    if (const auto mean = total.mean()) means[name] = *mean;
  }
  return means;
}

Status EvaluationTable::Insert(const EvaluationRecord& evaluation) {
  const EvaluationResult& result = evaluation.result;
  RETURN_IF_ERROR(database_.Write(
      "INSERT INTO evaluations (task, version, device, model, role, upload, examples, millis, received, counted) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      evaluation.task, evaluation.version, evaluation.device, result.model, evaluation.role, evaluation.upload,
      result.examples, result.millis, evaluation.received, evaluation.counts));
  MetricTotals metrics;
  for (const auto& [name, metric] : result.metrics) {
    const auto one = Quantised(metric);
    if (!one) return Fail(one.error().code, "metric {}: {}", name, one.error().message);
    RETURN_IF_ERROR(database_.Write(
        "INSERT INTO evaluation_metrics (task, version, device, model, name, sum, weight) VALUES (?, ?, ?, ?, ?, ?, ?)",
        evaluation.task, evaluation.version, evaluation.device, result.model, name, one->sum, one->weight));
    metrics[name] = *one;
  }
  if (!evaluation.counts) return {};
  return AddToTotals(evaluation.task, evaluation.version, {evaluation.role, result.model}, metrics);
}

Status EvaluationTable::Count(const TaskId& task, ModelVersion version, const DeviceId& device) {
  for (const View& view : {kPersonalView, kLocalView}) {
    ASSIGN_OR_RETURN(const auto rows,
                     database_.Query("SELECT m.name, m.sum, m.weight FROM evaluations e JOIN evaluation_metrics m "
                                     "ON m.task = e.task AND m.version = e.version AND m.device = e.device AND "
                                     "m.model = e.model WHERE e.task = ? AND e.version = ? AND e.device = ? AND "
                                     "e.model = ? AND e.role = ? AND e.counted = 0",
                                     task, version, device, view.model, view.role));
    MetricTotals metrics;
    for (const Row& row : rows) {
      std::string name;
      MetricTotal one;
      RETURN_IF_ERROR(row.Into(name, one.sum, one.weight));
      metrics[name] = one;
    }
    if (metrics.empty()) continue;
    RETURN_IF_ERROR(AddToTotals(task, version, view, metrics));
    RETURN_IF_ERROR(database_.Write(
        "UPDATE evaluations SET counted = 1 WHERE task = ? AND version = ? AND device = ? AND model = ?", task, version,
        device, view.model));
  }
  return {};
}

Status EvaluationTable::AddToTotals(const TaskId& task, ModelVersion version, const View& view,
                                    const MetricTotals& metrics) {
  ASSIGN_OR_RETURN(uint64_t names, database_.QueryNumber("SELECT count(*) FROM metric_totals WHERE task = ? AND role = "
                                                         "? AND model = ? AND version = ?",
                                                         task, view.role, view.model, version));
  MetricTotals totals;
  for (const auto& [name, one] : metrics) {
    ASSIGN_OR_RETURN(const auto known, database_.QueryFirst(ReadMetric,
                                                            "SELECT sum, weight FROM metric_totals WHERE task = ? AND "
                                                            "role = ? AND model = ? AND version = ? AND name = ?",
                                                            task, view.role, view.model, version, name));
    if (!known && ++names > kMostNames)
      return Fail(Code::kMalformed, "metric {}: version {} has {} metrics already", name, Number(version), kMostNames);
    totals[name] = known.value_or(MetricTotal{});
    if (const Status added = AddTo(totals[name], one); !added)
      return Fail(added.error().code, "metric {}: {}", name, added.error().message);
  }
  // The row is written from the sum made here, because SQL would turn a sum that does not fit into a rounded one.
  for (const auto& [name, total] : totals) {
    RETURN_IF_ERROR(database_.Write(
        "INSERT INTO metric_totals (task, role, model, version, name, reports, sum, weight) VALUES (?, ?, ?, ?, ?, 1, "
        "?, ?) ON CONFLICT (task, role, model, version, name) DO UPDATE SET reports = metric_totals.reports + 1, sum = "
        "excluded.sum, weight = excluded.weight",
        task, view.role, view.model, version, name, total.sum, total.weight));
  }
  return {};
}

Result<EvaluationTotals> EvaluationTable::Totals(const TaskId& task, ModelVersion first, ModelVersion last) {
  const auto of = [&](const View& view) {
    return ReadTotals(
        database_.Query("SELECT version, name, reports, sum, weight FROM metric_totals WHERE task = ? AND role = ? AND "
                        "model = ? AND version BETWEEN ? AND ?",
                        task, view.role, view.model, first, last));
  };
  EvaluationTotals totals;
  ASSIGN_OR_RETURN(totals.global, of(kGlobalView));
  ASSIGN_OR_RETURN(totals.personal, of(kPersonalView));
  ASSIGN_OR_RETURN(totals.local, of(kLocalView));
  return totals;
}

Result<std::vector<MemberResult>> EvaluationTable::Results(const TaskId& task, ModelVersion version,
                                                           const Slice<DeviceId>& slice) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT e.device, e.role, e.model, m.name, m.sum, m.weight FROM evaluations e JOIN "
                      "evaluation_metrics m ON m.task = e.task AND m.version = e.version AND m.device = e.device AND m.model "
                      "= e.model WHERE e.task = :task AND e.version = :version AND e.counted = 1 AND e.device IN (SELECT "
                      "DISTINCT device FROM evaluations WHERE task = :task AND version = :version AND counted = 1 AND device "
                      "> :after ORDER BY device LIMIT :most) ORDER BY e.device, e.model, m.name",
                      task, version, slice.after, slice.most));
  std::vector<MemberResult> results;
  for (const Row& row : rows) {
    MemberResult one;
    int64_t model = 0;
    std::string name;
    MetricTotal total;
    RETURN_IF_ERROR(row.Into(one.member, one.role, model, name, total.sum, total.weight));
    one.personal = model == static_cast<int64_t>(EvaluatedModel::kPersonal);
    const bool is_new = results.empty() || results.back().member != one.member || results.back().personal != one.personal;
    if (is_new) results.push_back(std::move(one));
    results.back().metrics[name] = total;
  }
  return results;
}

Result<MetricViews> EvaluationTable::Newest(const TaskId& task) {
  const auto of = [&](const View& view) -> Result<MetricMeans> {
    ASSIGN_OR_RETURN(const auto totals,
                     ReadTotals(database_.Query(
                         "SELECT version, name, reports, sum, weight FROM metric_totals WHERE task = :task AND role = "
                         ":role AND model = :model AND version = (SELECT version FROM metric_totals WHERE task = :task "
                         "AND role = :role AND model = :model ORDER BY version DESC LIMIT 1)",
                         task, view.role, view.model)));
    return totals.empty() ? MetricMeans{} : totals.rbegin()->second.means();
  };
  MetricViews views;
  ASSIGN_OR_RETURN(views.global, of(kGlobalView));
  ASSIGN_OR_RETURN(views.personal, of(kPersonalView));
  ASSIGN_OR_RETURN(views.local, of(kLocalView));
  return views;
}

}  // namespace tributary
