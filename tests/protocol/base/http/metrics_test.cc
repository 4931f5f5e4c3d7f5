#include "protocol/base/http/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::metrics_test {
namespace {

using testing::HasSubstr;

TEST(Metrics, RendersThePrometheusTextFormat) {
  Metrics metrics;
  metrics.AddCounter("tributary_test_uploads_total", "Uploads.", {{"kind", "update"}}).Add(3);
  metrics.AddGauge("tributary_test_spool_bytes", "Bytes.").Set(1.5);
  EXPECT_EQ(metrics.Render(),
            "# HELP tributary_test_spool_bytes Bytes.\n"
            "# TYPE tributary_test_spool_bytes gauge\n"
            "tributary_test_spool_bytes 1.5\n"
            "# HELP tributary_test_uploads_total Uploads.\n"
            "# TYPE tributary_test_uploads_total counter\n"
            "tributary_test_uploads_total{kind=\"update\"} 3\n");
}

TEST(Metrics, TheSameLabelsAreTheSameCounter) {
  Metrics metrics;
  Counter& one = metrics.AddCounter("a_total", "", {{"x", "1"}});
  EXPECT_EQ(&one, &metrics.AddCounter("a_total", "", {{"x", "1"}}));
  EXPECT_NE(&one, &metrics.AddCounter("a_total", "", {{"x", "2"}}));
}

TEST(Metrics, SamplesAreTakenAtEveryRendering) {
  Metrics metrics;
  double value = 1;
  metrics.AddSampled(MetricKind::kCounter, "sampled_total", "Sampled.", [&] {
    return std::vector<MetricSample>{{{{"reason", "a \"b\""}}, value}};
  });
  EXPECT_THAT(metrics.Render(), HasSubstr("sampled_total{reason=\"a \\\"b\\\"\"} 1\n"));
  value = 2;
  EXPECT_THAT(metrics.Render(), HasSubstr("sampled_total{reason=\"a \\\"b\\\"\"} 2\n"));
}

TEST(MetricsDeathTest, ANameHasOneKind) {
  Metrics metrics;
  metrics.AddCounter("a_total", "");
  EXPECT_DEATH(metrics.AddGauge("a_total", ""), "another kind");
  EXPECT_DEATH(metrics.AddGauge("a b", ""), "metric name");
}

}  // namespace
}  // namespace tributary::metrics_test
