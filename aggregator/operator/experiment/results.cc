#include "aggregator/operator/experiment/results.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr uint64_t kResultBytes = uint64_t{256} << 20;

uint64_t NaturalAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

// A record has these under another name, or time or chance decides them.
bool IsRoundMemberLeftOut(const std::string& key) {
  static constexpr auto kLeftOut = std::to_array<std::string_view>({"task",
                                                                    "number",
                                                                    "state",
                                                                    "base_version",
                                                                    "result_version",
                                                                    "opened",
                                                                    "deadline",
                                                                    "closed",
                                                                    "shortfall",
                                                                    "contributions",
                                                                    "asked_again",
                                                                    "refused",
                                                                    "device_failures",
                                                                    "bytes_up",
                                                                    "metrics",
                                                                    "global_accuracy",
                                                                    "personal_accuracy",
                                                                    "local_global_accuracy",
                                                                    "warning",
                                                                    "extended"});
  return std::ranges::find(kLeftOut, key) != kLeftOut.end();
}

bool IsVersionMemberLeftOut(const std::string& key) {
  static constexpr auto kLeftOut =
      std::to_array<std::string_view>({"task", "version", "weights", "parent", "round", "created", "restores", "reason",
                                       "pinned", "pruned", "metrics"});
  return std::ranges::find(kLeftOut, key) != kLeftOut.end();
}

void Flatten(const Json& value, const std::string& name, std::vector<std::pair<std::string, const Json*>>& out) {
  if (!value.is_object()) {
    out.emplace_back(name, &value);
    return;
  }
  for (const auto& [key, inner] : value.items()) Flatten(inner, name.empty() ? key : name + "." + key, out);
}

std::string CellOf(const Json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (value.is_string() && !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos)
    text.insert(0, "'");
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

double SecondsBetween(const Json& round, const char* from, const char* to) {
  const auto begin = WallTimeOfRfc3339(round.value(from, "")), end = WallTimeOfRfc3339(round.value(to, ""));
  return begin && end ? static_cast<double>(end->unix_millis - begin->unix_millis) / 1000 : 0;
}

// Of {"0": 3, "2": 1}: how many updates were so many versions behind.
std::optional<double> MeanStaleness(const Json& counts) {
  double sum = 0, all = 0;
  for (const auto& [behind, count] : counts.items()) {
    sum += std::strtod(behind.c_str(), nullptr) * count.get<double>();
    all += count.get<double>();
  }
  return all > 0 ? std::optional(sum / all) : std::nullopt;
}

}  // namespace

Json RecordOfRound(const Json& round, const Json& version, uint64_t base_bytes, const Json& spread) {
  Json refused = round.value("refused", Json::object());
  refused.erase("duplicate");
  uint64_t total = 0;
  for (const auto& [reason, count] : refused.items()) total += count.get<uint64_t>();
  const uint64_t updates = NaturalAt(round, "contributions");
  Json record = {{"round", NaturalAt(round, "number")},
                 {"version", NaturalAt(round, "result_version")},
                 {"base_version", NaturalAt(round, "base_version")},
                 {"updates", updates},
                 {"refused", total},
                 {"bytes_up", NaturalAt(round, "bytes_up")},
                 {"bytes_down", updates * base_bytes},
                 {"digest", version.value(Json::json_pointer("/weights/digest"), "")}};
  const Json metrics = round.value("metrics", Json::object());
  for (const auto& [view, means] : metrics.items()) record[view] = means;
  for (const char* view : {"personal", "local"}) {
    Json metrics_of_all = spread.value(Json::json_pointer(fmt::format("/{}/all", view)), Json::object());
    for (auto& [name, values] : metrics_of_all.items()) values.erase("weighted");  // the mean above
    if (!metrics_of_all.empty()) record["spread"][view] = std::move(metrics_of_all);
  }
  if (const auto mean = MeanStaleness(round.value("staleness", Json::object()))) record["mean_staleness"] = *mean;
  if (!refused.empty()) record["refused_by"] = refused;
  for (const auto& [key, value] : round.items()) {
    if (!IsRoundMemberLeftOut(key)) record[key] = value;
  }
  for (const auto& [key, value] : version.items()) {
    if (!IsVersionMemberLeftOut(key)) record[key] = value;
  }
  return record;
}

void AddSpent(Json& record, const Json& privacy) {
  for (const Json& version : privacy.value("versions", Json::array())) {
    if (NaturalAt(version, "version") == NaturalAt(record, "version"))
      record["epsilon"] = version.value("spent", Json());
  }
}

Json TimesOfRound(const Json& round) {
  const Json refused = round.value("refused", Json::object());
  return {{"round", NaturalAt(round, "number")},
          {"opened", round.value("opened", Json())},
          {"closed", round.value("closed", Json())},
          {"seconds", SecondsBetween(round, "opened", "closed")},
          {"duplicates", NaturalAt(refused, "duplicate")}};
}

std::optional<double> NumberIn(const Json& record, const std::string& column) {
  const Json* value = &record;
  for (size_t begin = 0; begin <= column.size();) {
    const size_t end = std::min(column.find('.', begin), column.size());
    const auto found = value->is_object() ? value->find(column.substr(begin, end - begin)) : value->end();
    if (!value->is_object() || found == value->end()) return std::nullopt;
    value = &*found;
    begin = end + 1;
  }
  return value->is_number() ? std::optional(value->get<double>()) : std::nullopt;
}

std::vector<std::string> ColumnsOf(const std::vector<Json>& records) {
  std::vector<std::string> columns;
  std::set<std::string> known;
  for (const Json& record : records) {
    std::vector<std::pair<std::string, const Json*>> flat;
    Flatten(record, "", flat);
    for (const auto& [name, value] : flat) {
      if (known.insert(name).second) columns.push_back(name);
    }
  }
  return columns;
}

std::string CsvOf(const std::vector<Json>& records) {
  const auto columns = ColumnsOf(records);
  const auto line = [&](auto cell) {
    std::string text;
    for (size_t i = 0; i < columns.size(); ++i) text += (i ? "," : "") + cell(columns[i]);
    return text + "\r\n";
  };
  std::string csv = line([](const std::string& name) { return CellOf(name); });
  for (const Json& record : records) {
    std::vector<std::pair<std::string, const Json*>> flat;
    Flatten(record, "", flat);
    csv += line([&](const std::string& name) {
      const auto found = std::ranges::find(flat, name, [](const auto& one) { return one.first; });
      return found == flat.end() ? std::string() : CellOf(*found->second);
    });
  }
  return csv;
}

std::string JsonLinesOf(const std::vector<Json>& records) {
  std::string text;
  for (const Json& record : records) text += Dump(record) + "\n";
  return text;
}

Result<std::vector<Json>> ReadJsonLines(const Path& file) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), file, kResultBytes));
  std::vector<Json> records;
  std::string_view text = AsText(bytes);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    Json record = Json::parse(text.substr(0, end), nullptr, false);
    if (!record.is_object())
      return Fail(Code::kMalformed, "{}:{} is no JSON object", file.string(), records.size() + 1);
    records.push_back(std::move(record));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return records;
}

MainMetric MainMetricOf(const Json& manifest, const std::vector<Json>& records) {
  const Json declared = manifest.value("metrics", Json::object());
  if (!declared.empty()) return {declared.begin().key(), declared.begin().value() == "larger"};
  const auto has = [](const Json& record) {
    return NumberIn(record, "global.accuracy") || NumberIn(record, "personal.accuracy");
  };
  if (std::ranges::any_of(records, has)) return {"accuracy", true};
  return {};
}

Result<ExperimentResults> ExperimentResults::Load(const Path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "summary.json", error)) {
    return Fail(Code::kMissingData,
                "{} holds no results of an experiment that has ended; 'tributary experiment run' makes them",
                folder.string());
  }
  ASSIGN_OR_RETURN(const Bytes text, ReadFile(RealFileSystem(), folder / "summary.json", kResultBytes));
  ExperimentResults results;
  results.folder = folder;
  results.summary = Json::parse(AsText(text), nullptr, false);
  if (!results.summary.is_object())
    return Fail(Code::kMalformed, "{} is no JSON object", (folder / "summary.json").string());
  results.title = results.summary.value("title", folder.filename().string());
  results.metric = {results.summary.value("metric", "loss"), results.summary.value("direction", "") == "larger"};
  ASSIGN_OR_RETURN(results.records, ReadJsonLines(folder / "metrics.jsonl"));
  ASSIGN_OR_RETURN(results.times, ReadJsonLines(folder / "times.jsonl"));
  return results;
}

std::string ExperimentResults::View() const {
  const auto measured = [this](const Json& record) { return NumberIn(record, "global." + metric.name).has_value(); };
  return records.empty() || std::ranges::any_of(records, measured) ? "global" : "personal";
}

}  // namespace tributary
