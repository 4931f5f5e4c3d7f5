#include "aggregator/options.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/hop/server/server_options.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::aggregator_options_test {
namespace {

using testing::HasSubstr;

class AggregatorOptionsTest : public ::testing::Test {
 protected:
  // A configuration that is complete, with `more` behind it.
  Result<AggregatorOptions> Load(const std::string& more) {
    const Path file = folder_ / "aggregator.toml";
    std::ofstream(file) << "[aggregator]\ndata_dir = \"data\"\nidentity_dir = \"identity\"\n"
                        << "publication_dir = \"publication\"\n"
                        << more;
    return AggregatorOptions::Load(file);
  }
  std::string Problem(const std::string& more) {
    const auto options = Load(more);
    return options ? "none" : options.error().message;
  }
  TemporaryFolder folder_;
};

TEST_F(AggregatorOptionsTest, PathsAreRelativeToTheFile) {
  const AggregatorOptions options = Must(Load(""));
  EXPECT_EQ(options.data_dir, folder_ / "data");
  EXPECT_EQ(options.issuer_dir, "");
  EXPECT_EQ(options.http.port, 8080);
}

TEST_F(AggregatorOptionsTest, LimitsReachTheServer) {
  EXPECT_EQ(Must(Load("")).hop.max_unproven, HopServer::Options().max_unproven);
  EXPECT_EQ(Must(Load("[limits]\nunproven_sessions = 17\n")).hop.max_unproven, 17u);
  EXPECT_THAT(Problem("[limits]\nunproven_sessions = 0\n"), HasSubstr("'limits.unproven_sessions' must be"));
  EXPECT_THAT(AggregatorManual(), HasSubstr(LimitsManual()));
}

TEST_F(AggregatorOptionsTest, AnUnknownKeyIsNamedWithItsLine) {
  EXPECT_THAT(Problem("[intake]\nstaging_mib = 3\n"), testing::AllOf(HasSubstr(":6"), HasSubstr("intake.staging_mib")));
  EXPECT_THAT(Problem("[http]\nport = 0\n"), HasSubstr("http.port"));
  EXPECT_THAT(Problem("[enrolment]\ncertificate_days = 0\n"), HasSubstr("enrolment.certificate_days"));
}

}  // namespace
}  // namespace tributary::aggregator_options_test
