#include "protocol/payload/evaluation.h"

#include <limits>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/protocol/envelope/small_upload.h"

namespace tributary::payload_evaluation_test {
namespace {

const std::vector<EvaluationResult> kTwo = {{EvaluatedModel::kGlobal, 100, 0.5, 0.75, 12},
                                            {EvaluatedModel::kPersonal, 100, 0.25, 1.0, 13}};

TEST(ReportTest, ComesBackAsItWas) {
  const auto results = DecodeEvaluation(EncodeEvaluation(kTwo));
  ASSERT_TRUE(results) << results.error().ToString();
  EXPECT_EQ(*results, kTwo);
}

TEST(ReportTest, ValuesOutsideTheirMeaningAreMalformed) {
  const auto decoded = [](EvaluationResult one) { return Outcome(DecodeEvaluation(EncodeEvaluation({one}))); };
  EvaluationResult good = kTwo[0];
  EXPECT_EQ(decoded(good), "ok");
  for (const double accuracy : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    EvaluationResult bad = good;
    bad.accuracy = accuracy;
    EXPECT_EQ(decoded(bad), "malformed") << accuracy;
  }
  for (const double loss : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    EvaluationResult bad = good;
    bad.loss = loss;
    EXPECT_EQ(decoded(bad), "malformed") << loss;
  }
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
