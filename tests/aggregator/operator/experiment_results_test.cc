// The results of an experiment are written, read again and shown.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/operator/experiment/line_plot.h"
#include "aggregator/operator/experiment/report.h"
#include "aggregator/operator/experiment/results.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::experiment_results_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// As the API shows a round and the version that it made.
Json Round(uint64_t number, double accuracy) {
  return {{"task", "experiment"},
          {"number", number},
          {"state", "completed"},
          {"base_version", number},
          {"result_version", number + 1},
          {"opened", "2026-11-30T10:00:00.000Z"},
          {"closed", "2026-11-30T10:00:01.500Z"},
          {"contributions", 3u},
          {"refused", {{"not-finite", 2u}, {"duplicate", 4u}}},
          {"bytes_up", 1'000'000u},
          {"staleness", {{"0", 1u}, {"1", 2u}}},
          {"metrics",
           {{"global", {{"accuracy", accuracy}, {"loss", 1}}},
            {"personal", {{"accuracy", 0.9}}},
            {"local", Json::object()}}}};
}

Json Version(uint64_t number) {
  return {
      {"version", number}, {"weights", {{"digest", "ab"}, {"size", 400u}}}, {"created", "2026-11-30T10:00:02.000Z"}};
}

Json Spread() {
  return {{"personal",
           {{"all", {{"accuracy", {{"members", 3}, {"weighted", 0.9}, {"mean", 0.8}, {"worst_tenth", 0.7}}}}}}}};
}

ExperimentResults Results(const Path& folder, const std::vector<double>& accuracies) {
  ExperimentResults results{.folder = folder,
                            .title = "<one> & only",
                            .metric = {"accuracy", true},
                            .summary = {},
                            .records = {},
                            .times = {}};
  for (size_t i = 0; i < accuracies.size(); ++i) {
    results.records.push_back(RecordOfRound(Round(i + 1, accuracies[i]), Version(i + 2), 400, Spread()));
    results.times.push_back(TimesOfRound(Round(i + 1, accuracies[i])));
  }
  return results;
}

TEST(ExperimentResultsTest, ARecordHasWhatTheSeedDecidesAndTheTimesHaveTheRest) {
  const Json record = RecordOfRound(Round(1, 0.5), Version(2), 400, Spread());
  EXPECT_EQ(
      record.dump(),
      R"({"round":1,"version":2,"base_version":1,"updates":3,"refused":2,"bytes_up":1000000,"bytes_down":1200,"digest":"ab",)"
      R"("global":{"accuracy":0.5,"loss":1},"personal":{"accuracy":0.9},"local":{},"spread":{"personal":{"accuracy":{"members":3,"mean":0.8,"worst_tenth":0.7}}},"mean_staleness":0.6666666666666666,"refused_by":{"not-finite":2},)"
      R"("staleness":{"0":1,"1":2}})");
  EXPECT_EQ(
      TimesOfRound(Round(1, 0.5)).dump(),
      R"({"round":1,"opened":"2026-11-30T10:00:00.000Z","closed":"2026-11-30T10:00:01.500Z","seconds":1.5,"duplicates":4})");
  EXPECT_EQ(NumberIn(record, "global.accuracy"), 0.5);
  EXPECT_EQ(NumberIn(record, "global.f1"), std::nullopt);
  EXPECT_EQ(NumberIn(record, "digest"), std::nullopt);
}

TEST(ExperimentResultsTest, CsvHasEveryColumnThatARecordHas) {
  const std::vector<Json> records = {{{"round", 1}, {"a", {{"b", 0.5}}}},
                                     {{"round", 2}, {"c,d", "=1+1"}, {"e", nullptr}, {"f", "say \"x\""}}};
  EXPECT_THAT(ColumnsOf(records), ElementsAre("round", "a.b", "c,d", "e", "f"));
  EXPECT_EQ(CsvOf(records), "round,a.b,\"c,d\",e,f\r\n1,0.5,,,\r\n2,,'=1+1,,\"say \"\"x\"\"\"\r\n");
}

TEST(ExperimentResultsTest, LinesAreReadAsTheyWereWritten) {
  TemporaryFolder folder;
  const std::vector<Json> records = {{{"round", 1}, {"x", 0.1}}, {{"round", 2}}};
  Must(WriteFileAtomically(RealFileSystem(), folder / "m.jsonl", AsBytes(JsonLinesOf(records))));
  EXPECT_EQ(Must(ReadJsonLines(folder / "m.jsonl")), records);
  Must(WriteFileAtomically(RealFileSystem(), folder / "m.jsonl", AsBytes("{}\nx\n")));
  EXPECT_THAT(ReadJsonLines(folder / "m.jsonl").error().message, HasSubstr("m.jsonl:2"));
  EXPECT_EQ(ExperimentResults::Load(folder.path()).error().code, Code::kMissingData);
}

TEST(ExperimentResultsTest, ARunIsJudgedByTheMetricThatItsTaskDeclares) {
  const std::vector<Json> records = Results("a", {0.5}).records;
  const MainMetric declared = MainMetricOf({{"metrics", {{"degrees_off", "smaller"}}}}, records);
  EXPECT_EQ(declared.name, "degrees_off");
  EXPECT_TRUE(declared.IsBetter(1, 2));
  EXPECT_EQ(MainMetricOf(Json::object(), records).name, "accuracy");
  EXPECT_EQ(MainMetricOf(Json::object(), {}).name, "loss");
}

TEST(ExperimentResultsTest, AComparisonCountsRoundsAndBytesUntilAllReached) {
  const std::vector<ExperimentResults> runs = {Results("x/fast", {0.6, 0.8, 0.7}), Results("x/slow", {0.3, 0.5, 0.6})};
  EXPECT_EQ(ReachedByAll(runs), 0.6);
  const auto lines = Compared(runs, 0.6);
  EXPECT_EQ(lines[0].name, "fast");
  EXPECT_EQ(lines[0].best, 0.8);
  EXPECT_EQ(lines[0].best_round, 2u);
  EXPECT_EQ(lines[0].last, 0.7);
  EXPECT_EQ(lines[0].rounds, 1u);
  EXPECT_EQ(lines[0].bytes_up, 1e6);
  EXPECT_EQ(lines[1].rounds, 3u);
  EXPECT_EQ(lines[1].bytes_up, 3e6);
  EXPECT_EQ(lines[1].seconds, 4.5);
  EXPECT_EQ(Compared(runs, 0.75)[1].rounds, std::nullopt);
  EXPECT_EQ(ReachedByAll({Results("x/none", {})}), std::nullopt);
}

TEST(ExperimentResultsTest, AReportNeedsNothingFromElsewhere) {
  const std::string one = ReportOf({Results("x/one", {0.6, 0.8})});
  EXPECT_THAT(one, AllOf(HasSubstr("&lt;one&gt; &amp; only"), HasSubstr("<svg"), HasSubstr("Staleness"),
                         HasSubstr("worst tenth of the devices"), HasSubstr("prefers-color-scheme:dark"),
                         HasSubstr("default-src 'none'"), HasSubstr("width=device-width")));
  const std::string both = ReportOf({Results("x/one", {0.6, 0.8}), Results("x/two", {0.5, 0.4})});
  EXPECT_THAT(both, AllOf(HasSubstr("Side by side"), HasSubstr("until accuracy 0.5")));
  for (const std::string& page : {one, both, ReportOf({Results("x/none", {})})}) {
    EXPECT_THAT(page, AllOf(Not(HasSubstr("http:")), Not(HasSubstr("https:")), Not(HasSubstr("<script")),
                            Not(HasSubstr("url(")), Not(HasSubstr("<link")), Not(HasSubstr("<img")),
                            Not(HasSubstr("nan")), Not(HasSubstr("inf "))));
  }
  // Each plot has its numbers beside it.
  size_t figures = 0, tables = 0;
  for (size_t at = 0; (at = one.find("<figure>", at)) != std::string::npos; ++at) ++figures;
  for (size_t at = 0; (at = one.find(": the numbers", at)) != std::string::npos; ++at) ++tables;
  EXPECT_GE(figures, 4u);
  EXPECT_EQ(tables, figures);
}

TEST(ExperimentResultsTest, AxesHaveRoundTicksAroundAllValues) {
  EXPECT_THAT(TicksOf(1, 10), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(TicksOf(1, 3, true), ElementsAre(1, 2, 3));
  EXPECT_THAT(TicksOf(0, 1), ElementsAre(0, testing::DoubleEq(0.2), testing::DoubleEq(0.4), testing::DoubleEq(0.6),
                                         testing::DoubleEq(0.8), 1));
  for (const auto& [least, most] :
       {std::pair(0.3, 0.3), std::pair(-5.0, 1e6), std::pair(0.0, 0.0), std::pair(1e-9, 2e-9)}) {
    const auto ticks = TicksOf(least, most);
    EXPECT_LE(ticks.front(), least);
    EXPECT_GE(ticks.back(), most);
    EXPECT_GE(ticks.size(), 2u);
    EXPECT_LE(ticks.size(), 13u);
  }
}

}  // namespace
}  // namespace tributary::experiment_results_test
