#include "protocol/payload/evaluation.h"

#include <limits>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"
#include "tests/protocol/envelope/small_upload.h"
#include "tests/support/classified.h"

namespace tributary::payload_evaluation_test {
namespace {

const std::vector<EvaluationResult> kTwo = {Classified(EvaluatedModel::kGlobal, 100, 0.5, 0.75, 12),
                                            Classified(EvaluatedModel::kPersonal, 100, 0.25, 1.0, 13)};

TEST(ReportTest, ComesBackAsItWas) {
  const auto results = DecodeEvaluation(EncodeEvaluation(kTwo));
  ASSERT_TRUE(results) << results.error().ToString();
  EXPECT_EQ(*results, kTwo);
}

TEST(ReportTest, ValuesOutsideTheirMeaningAreMalformed) {
  const auto decoded = [](EvaluationResult one) { return Outcome(DecodeEvaluation(EncodeEvaluation({one}))); };
  EvaluationResult good = kTwo[0];
  EXPECT_EQ(decoded(good), "ok");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  for (const TaskMetric metric : {TaskMetric{kNan, 1}, {kInfinite, 1}, {1, kNan}, {1, kInfinite}, {1, -1}}) {
    EvaluationResult bad = good;
    bad.metrics["mae"] = metric;
    EXPECT_EQ(decoded(bad), "malformed") << metric.sum << " of " << metric.weight;
  }
  EvaluationResult bad = good;
  bad.metrics.erase("loss");
  EXPECT_EQ(decoded(bad), "malformed");
  bad = good;
  for (int i = 0; i < 16; ++i) bad.metrics["m" + std::to_string(i)] = {1, 1};
  EXPECT_EQ(decoded(bad), "ok") << "a manifest's 16, loss and accuracy";
  bad.metrics["m16"] = {1, 1};
  EXPECT_EQ(decoded(bad), "malformed") << "19 metrics";
  bad = good;
  bad.metrics["Not a name"] = {1, 1};
  EXPECT_EQ(decoded(bad), "malformed");
  good.model = EvaluatedModel{3};
  EXPECT_EQ(decoded(good), "malformed");
}

// As a device of before there were metrics by name writes it.
Bytes OldForm(uint64_t examples, double loss, double accuracy) {
  return wire::EncodeCanonical<schema::Evaluation>([&](schema::Evaluation::Builder to) {
    auto result = to.initResults(1)[0];
    result.setSubject(2);
    result.setExamples(examples);
    result.setObsoleteLoss(loss);
    result.setObsoleteAccuracy(accuracy);
    result.setMillis(7);
  });
}

TEST(ReportTest, AnOlderDevicesMeansBecomeMetricsByName) {
  const auto results = DecodeEvaluation(OldForm(8, 0.25, 0.75));
  ASSERT_TRUE(results) << results.error().ToString();
  EXPECT_EQ(
      *results,
      (std::vector<EvaluationResult>{{EvaluatedModel::kPersonal, 8, 7, {{"accuracy", {6, 8}}, {"loss", {2, 8}}}}}));
  const auto none = DecodeEvaluation(OldForm(0, 0.25, 0.75));
  ASSERT_TRUE(none) << none.error().ToString();
  EXPECT_EQ(none->front().metrics.at("loss"), TaskMetric{}) << "nothing was counted";
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Outcome(DecodeEvaluation(OldForm(8, kNan, 0.75))), "malformed");
  EXPECT_EQ(Outcome(DecodeEvaluation(OldForm(8, 0.25, std::numeric_limits<double>::infinity()))), "malformed");
  for (const double accuracy : {-0.5, 1.5})
    EXPECT_EQ(Outcome(DecodeEvaluation(OldForm(8, 0.25, accuracy))), "malformed");
}

TEST(ReportTest, CountsAndSizesAreBounded) {
  EXPECT_EQ(Outcome(DecodeEvaluation(EncodeEvaluation({}))), "malformed");
  EXPECT_EQ(Outcome(DecodeEvaluation(EncodeEvaluation(std::vector<EvaluationResult>(16, kTwo[0])))), "ok");
  EXPECT_EQ(Outcome(DecodeEvaluation(EncodeEvaluation(std::vector<EvaluationResult>(17, kTwo[0])))), "malformed");
  EXPECT_EQ(Outcome(DecodeEvaluation(Bytes(limits::kRecordBytes + 8))), "too-large");
}

TEST(ReportTest, TruncationAtEveryLengthIsMalformed) {
  const Bytes report = EncodeEvaluation(kTwo);
  for (size_t length = 0; length < report.size(); ++length) {
    EXPECT_EQ(Outcome(DecodeEvaluation(ByteView(report).first(length))), "malformed") << length;
  }
}

}  // namespace
}  // namespace tributary::payload_evaluation_test
