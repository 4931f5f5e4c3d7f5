#include "protocol/base/process/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::metrics_test {
namespace {

using testing::HasSubstr;

TEST(Metrics, RendersThePrometheusTextFormat) {
  Metrics metrics;
  metrics.Add(MetricKind::kCounter, "tributary_test_uploads_total", "Uploads.", [] {
    return MetricSamples{{{{"kind", "update"}}, 3}};
  });
  metrics.Add(MetricKind::kGauge, "tributary_test_spool_bytes", "Bytes.", [] { return MetricSamples{{{}, 1.5}}; });
  EXPECT_EQ(metrics.Render(),
            "# HELP tributary_test_spool_bytes Bytes.\n"
            "# TYPE tributary_test_spool_bytes gauge\n"
            "tributary_test_spool_bytes 1.5\n"
            "# HELP tributary_test_uploads_total Uploads.\n"
            "# TYPE tributary_test_uploads_total counter\n"
            "tributary_test_uploads_total{kind=\"update\"} 3\n");
}

TEST(Metrics, LargeNumbersKeepTheirDigits) {
  Metrics metrics;
  metrics.Add(MetricKind::kGauge, "end_seconds", "", [] { return MetricSamples{{{}, 1'764'370'000.0}}; });
  metrics.Add(MetricKind::kGauge, "some_bytes", "", [] { return MetricSamples{{{}, 4'503'599'627'370'497.0}}; });
  EXPECT_THAT(metrics.Render(), HasSubstr("end_seconds 1764370000\n"));
  EXPECT_THAT(metrics.Render(), HasSubstr("some_bytes 4503599627370497\n"));
}

TEST(Metrics, SamplesAreTakenAtEveryRendering) {
  Metrics metrics;
  double value = 1;
  metrics.Add(MetricKind::kCounter, "sampled_total", "Sampled.", [&] {
    return MetricSamples{{{{"reason", "a \"b\""}}, value}};
  });
  EXPECT_THAT(metrics.Render(), HasSubstr("sampled_total{reason=\"a \\\"b\\\"\"} 1\n"));
  value = 2;
  EXPECT_THAT(metrics.Render(), HasSubstr("sampled_total{reason=\"a \\\"b\\\"\"} 2\n"));
}

TEST(Metrics, ASnapshotIsReadAsItWasPutLast) {
  struct Snapshot {
    uint64_t bytes = 0;
    bool open = false;
  };
  Metrics metrics;
  SnapshotMetrics<Snapshot> snapshot(metrics, "tributary_test_");
  snapshot.Counter("bytes_total", "Bytes.", [](const Snapshot& s) { return static_cast<double>(s.bytes); });
  snapshot.Gauge("open", "Open.", [](const Snapshot& s) { return s.open ? 1.0 : 0.0; });
  EXPECT_THAT(metrics.Render(), HasSubstr("tributary_test_bytes_total 0\n"));
  snapshot.Put({.bytes = 7, .open = true});
  EXPECT_THAT(metrics.Render(), HasSubstr("tributary_test_bytes_total 7\n"));
  EXPECT_THAT(metrics.Render(), HasSubstr("tributary_test_open 1\n"));
  EXPECT_EQ(snapshot.Get().bytes, 7u);
}

TEST(MetricsDeathTest, ANameIsWellFormedAndAddedOnce) {
  Metrics metrics;
  const auto none = [] { return MetricSamples(); };
  metrics.Add(MetricKind::kCounter, "a_total", "", none);
  EXPECT_DEATH(metrics.Add(MetricKind::kGauge, "a_total", "", none), "there already");
  EXPECT_DEATH(metrics.Add(MetricKind::kGauge, "a b", "", none), "metric name");
}

}  // namespace
}  // namespace tributary::metrics_test
