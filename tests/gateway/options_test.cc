#include "gateway/options.h"

#include <fstream>

#include <gtest/gtest.h>

#include "protocol/hop/server/server_options.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::gateway_options_test {
namespace {

class GatewayOptionsTest : public ::testing::Test {
 protected:
  // A configuration that is complete, with `upstream` behind its [upstream] table and `more` behind that.
  Result<GatewayOptions> Load(const std::string& more, const std::string& upstream = "") {
    const Path file = folder_ / "gateway.toml";
    std::ofstream(file)
        << "[gateway]\ndata_dir = \"data\"\nidentity_dir = \"identity\"\n[upstream]\nendpoint = \"tcp://127.0.0.1:1\"\n"
        << "server_key = \"" << std::string(64, 'a') << "\"\n"
        << upstream << more;
    return GatewayOptions::Load(file);
  }
  std::string Outcome(const Result<GatewayOptions>& options) {
    return options ? "ok" : std::string(Name(options.error().code));
  }
  TemporaryFolder folder_;
};

TEST_F(GatewayOptionsTest, AnUnknownKeyIsNamedWithItsLine) {
  ASSERT_EQ(Outcome(Load("")), "ok");
  const auto unknown = Load("[spool]\nmax_gib = 3\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kConfigUnknownKey);
  EXPECT_NE(unknown.error().message.find("8"), std::string::npos) << unknown.error().message;
  EXPECT_NE(unknown.error().message.find("max_gib"), std::string::npos) << unknown.error().message;
  EXPECT_EQ(Outcome(Load("[listen]\ncredit_mib = 0\n")), "config-invalid");
}

TEST_F(GatewayOptionsTest, QuotasReachTheSpool) {
  const GatewayOptions plain = Must(Load(""));
  EXPECT_EQ(SpoolOptionsOf(plain).max_dead_bytes, std::nullopt);
  EXPECT_EQ(SpoolOptionsOf(plain).max_disk_percent, 95u);
  EXPECT_EQ(plain.drain_seconds, 10);
  const SpoolOptions spool = SpoolOptionsOf(
      Must(Load("[spool]\nmax_mib = 7\nmax_disk_percent = 80\nreserve_mib = 3\nmax_device_mib = 2\nmax_update_mib = 4\n"
                "max_telemetry_mib = 1\nmax_dead_letter_mib = 0\n")));
  EXPECT_EQ(spool.max_bytes, 7 * limits::kMiB);
  EXPECT_EQ(spool.max_disk_percent, 80u);
  EXPECT_EQ(spool.reserve_bytes, 3 * limits::kMiB);
  EXPECT_EQ(spool.max_device_bytes, 2 * limits::kMiB);
  EXPECT_EQ(spool.max_kind_bytes, (std::array<uint64_t, 4>{4 * limits::kMiB, 0, limits::kMiB, 0}));
  EXPECT_EQ(spool.max_dead_bytes, 0u);
  const GatewayOptions renamed = Must(Load("[spool]\nmax_device_state_mib = 3\n", "urgent = [\"telemetry\"]\n"));
  EXPECT_EQ(SpoolOptionsOf(renamed).max_kind_bytes[2], 3 * limits::kMiB);
  EXPECT_TRUE(renamed.link.urgent_kinds.contains(UploadKind::kDeviceState)) << "the spelling of 0.1.0 is accepted";
}

TEST_F(GatewayOptionsTest, LimitsReachTheServer) {
  EXPECT_EQ(Must(Load("")).hop.max_unproven, HopServer::Options().max_unproven);
  EXPECT_EQ(Must(Load("[limits]\nunproven_sessions = 17\n")).hop.max_unproven, 17u);
  const auto bad = Load("[limits]\nunproven_sessions = 0\n");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("limits.unproven_sessions"), std::string::npos) << bad.error().message;
  EXPECT_NE(GatewayManual().find(LimitsManual()), std::string::npos);
}

TEST_F(GatewayOptionsTest, PlainHttpBeyondLoopbackHasToBeAskedFor) {
  EXPECT_EQ(Outcome(Load("[http]\nhost = \"0.0.0.0\"\nport = 8101\n")), "config-invalid");
  EXPECT_EQ(Outcome(Load("[http]\nhost = \"0.0.0.0\"\nport = 8101\nallow_plain = true\n")), "ok");
  EXPECT_EQ(Outcome(Load("[http]\nhost = \"127.0.0.1\"\nport = 8101\n")), "ok");
  EXPECT_EQ(Outcome(Load("[http]\nhost = \"0.0.0.0\"\nport = 0\n")), "ok") << "it does not listen";
}

TEST_F(GatewayOptionsTest, TheLinkPolicyIsChecked) {
  const GatewayOptions options =
      Must(Load("", "up_kib_per_second = 8\nschedule = [\"22:00-06:00\"]\nurgent = [\"evaluation\"]\n"));
  EXPECT_EQ(options.link.up_bytes_per_second, 8 * limits::kKiB);
  const WallTime noon{1'767'225'600'000 + 12 * 3'600'000};
  EXPECT_FALSE(options.link.MaySend(UploadKind::kUpdate, noon));
  EXPECT_TRUE(options.link.MaySend(UploadKind::kEvaluation, noon));
  EXPECT_TRUE(options.link.MaySend(UploadKind::kUpdate, noon + Millis(11 * 3'600'000)));
  EXPECT_EQ(Outcome(Load("", "schedule = [\"25:00-06:00\"]\n")), "config-invalid");
  EXPECT_EQ(Outcome(Load("", "urgent = [\"everything\"]\n")), "config-invalid");
  EXPECT_EQ(Outcome(Load("", "schedule_zone = \"mars\"\n")), "config-invalid");
}

}  // namespace
}  // namespace tributary::gateway_options_test
