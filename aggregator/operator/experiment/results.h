#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "protocol/base/file.h"

// What came of an experiment, round by round. A record is an object, as simulate in Python gives it:
//   {"round": 1, "version": 2, "base_version": 1, "updates": 20, "refused": 0, "bytes_up": …, "bytes_down": …, "digest": "…",
//    "global": {"accuracy": 0.7, "loss": 0.9}, "personal": {…}, "local": {…}, "spread": {"personal": {"accuracy": {"members", "mean",
//    "deviation", "least", "most", "worst_tenth"}, …}, "local": {…}}, and whatever else the API tells of a round and its version}
// `global` is of the round's version, by the evaluator; `personal` of the models that devices use for themselves, `local` of
// the version before, both on what the devices held back. bytes_down: the base version, once for each update. A column is
// the dotted name of a value: "global.accuracy". Nothing in it depends on time: the same plan gives the same bytes.
namespace tributary {

// `version`: that the round made; `base_bytes`: the size of the version that it began with; `spread`: over devices, of the same.
Json RecordOfRound(const Json& round, const Json& version, uint64_t base_bytes, const Json& spread);
// Of a private task: "epsilon", what was spent up to the record's version, of what the API shows as the task's privacy.
void AddSpent(Json& record, const Json& privacy);
// {"round", "opened", "closed", "seconds", "duplicates"}: what time decides.
Json TimesOfRound(const Json& round);

// The number in a column; nullopt: there is none.
std::optional<double> NumberIn(const Json& record, const std::string& column);
// Every column that a record has, in the order of their first appearance.
std::vector<std::string> ColumnsOf(const std::vector<Json>& records);
// RFC 4180, with a head; what a record has not is empty. What begins like a formula of a spreadsheet is a text.
std::string CsvOf(const std::vector<Json>& records);
std::string JsonLinesOf(const std::vector<Json>& records);
// kMalformed names the line.
Result<std::vector<Json>> ReadJsonLines(const Path& file);

// The metric that judges a run: the first one that the task's manifest declares, or else the accuracy if there is one, or
// else the loss.
struct MainMetric {
  std::string name = "loss";
  bool larger_is_better = false;
  bool IsBetter(double one, double other) const { return larger_is_better ? one > other : one < other; }
};
MainMetric MainMetricOf(const Json& manifest, const std::vector<Json>& records);

// A folder with results: experiment.toml, metrics.jsonl, times.jsonl, summary.json.
struct ExperimentResults {
  Path folder;
  std::string title;
  MainMetric metric;
  Json summary;
  std::vector<Json> records;
  std::vector<Json> times;

  // The errors of reading; kMissingData: the folder holds no results.
  static Result<ExperimentResults> Load(const Path& folder);
  // The view that the main metric is taken of: "global", or "personal" where nobody measured the versions.
  std::string View() const;
  std::string MainColumn() const { return View() + "." + metric.name; }
};

}  // namespace tributary
