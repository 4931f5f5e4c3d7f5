#include "protocol/payload/evaluation.h"

#include <limits>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
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
  for (int i = 0; i < 15; ++i) bad.metrics["m" + std::to_string(i)] = {1, 1};
  EXPECT_EQ(decoded(bad), "malformed") << "17 metrics";
  bad = good;
  bad.metrics["Not a name"] = {1, 1};
  EXPECT_EQ(decoded(bad), "malformed");
  good.model = EvaluatedModel{3};
  EXPECT_EQ(decoded(good), "malformed");
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
