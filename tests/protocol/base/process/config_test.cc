#include "protocol/base/process/config.h"

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "tests/support/temporary_folder.h"

namespace tributary::config_test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kModes[] = {"none", "full"};
constexpr std::string_view kOthers[] = {"default", "other"};
constexpr std::string_view kNumbers[] = {"one", "two"};

ConfigReader Parsed(std::string_view text) {
  auto reader = ConfigReader::Parse(text, "gateway.toml");
  TRIBUTARY_CHECK(reader.has_value()) << reader.error().message;
  return std::move(*reader);
}

Error Problem(ConfigReader& reader) {
  const Status status = reader.Finish();
  EXPECT_FALSE(status.has_value());
  return status ? Error{} : status.error();
}

TEST(ConfigReader, ReadsEveryKind) {
  auto reader = Parsed(
      "name = 'gw-1'\nfast = true\npeers = ['a', 'b']\n[spool]\nmax_bytes = 4096\nshare = 0.5\nwhole = 2\nmode = "
      "'full'\n");
  std::string name, mode = "none";
  bool fast = false;
  std::vector<std::string> peers;
  int64_t max_bytes = 0;
  double share = 0, whole = 0;
  reader.Read({.name = "name", .place = &name});
  reader.Read({.name = "fast", .place = &fast});
  reader.Read({.name = "peers", .place = &peers});
  reader.Read({.name = "spool.max_bytes", .place = &max_bytes, .bounds = Between(1, 4096)});
  reader.Read({.name = "spool.share", .place = &share, .bounds = Between(0, 1)});
  reader.Read({.name = "spool.whole", .place = &whole, .bounds = Between(0, 5)});
  reader.Read({.name = "spool.mode", .place = &mode, .names = kModes});
  ASSERT_TRUE(reader.Finish().has_value());
  EXPECT_EQ(name, "gw-1");
  EXPECT_TRUE(fast);
  EXPECT_EQ(peers, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(max_bytes, 4096);
  EXPECT_EQ(share, 0.5);
  EXPECT_EQ(whole, 2.0);
  EXPECT_EQ(mode, "full");
}

TEST(ConfigReader, AbsentKeysLeaveTheDefault) {
  auto reader = Parsed("");
  std::string name = "default";
  int64_t count = 7;
  reader.Read({.name = "name", .place = &name});
  reader.Read({.name = "spool.count", .place = &count, .bounds = Between(1, 9)});
  reader.Read({.name = "mode", .place = &name, .names = kOthers});
  EXPECT_FALSE(reader.Has("name"));
  ASSERT_TRUE(reader.Finish().has_value());
  EXPECT_EQ(name, "default");
  EXPECT_EQ(count, 7);
}

TEST(ConfigReader, AnUnknownKeyIsNamedWithItsLineAndItsNeighbours) {
  auto reader = Parsed("listen = 'x'\n\n[spool]\nmax_bytes = 1\nmax_byte = 2\n");
  std::string listen;
  int64_t bytes = 0;
  reader.Read({.name = "listen", .place = &listen});
  reader.Read({.name = "spool.max_bytes", .place = &bytes, .bounds = Between(0, 10)});
  const Error error = Problem(reader);
  EXPECT_EQ(error.code, Code::kConfigUnknownKey);
  EXPECT_THAT(error.message, HasSubstr("gateway.toml:5: unknown key 'spool.max_byte'"));
  EXPECT_THAT(error.message, HasSubstr("keys of [spool]: max_bytes"));
  EXPECT_THAT(error.message, Not(HasSubstr("listen")));
}

TEST(ConfigReader, AnUnknownSectionIsNamed) {
  auto reader = Parsed("[spol]\nmax_bytes = 1\n");
  int64_t bytes = 0;
  reader.Read({.name = "spool.max_bytes", .place = &bytes, .bounds = Between(0, 10)});
  const Error error = Problem(reader);
  EXPECT_EQ(error.code, Code::kConfigUnknownKey);
  EXPECT_THAT(error.message, HasSubstr("gateway.toml:2"));
  EXPECT_THAT(error.message, HasSubstr("no section [spol]"));
}

TEST(ConfigReader, AKnownSectionMayBeEmptyAnUnknownOneNot) {
  const auto outcome = [](const std::string& text) {
    ConfigReader reader = std::move(*ConfigReader::Parse(text, "t.toml"));
    std::string level = "info";
    reader.Read({.name = "log.level", .place = &level});
    const Status finished = reader.Finish();
    return finished ? std::string("ok ") + level : finished.error().message;
  };
  EXPECT_EQ(outcome("[log]\n# level = \"debug\"\n"), "ok info");
  EXPECT_EQ(outcome("log = {}\n"), "ok info");
  EXPECT_NE(outcome("[lo]\n").find("unknown key 'lo'"), std::string::npos);
  EXPECT_NE(outcome("[log.level]\n").find("'log.level' must be a string"), std::string::npos);
}

TEST(ConfigReader, AMisspeltKeyIsReportedBeforeTheMissingOne) {
  auto reader = Parsed("lisen = 'x'\n");
  std::string listen;
  reader.Read({.name = "listen", .place = &listen, .required = true});
  EXPECT_EQ(Problem(reader).code, Code::kConfigUnknownKey);
}

TEST(ConfigReader, ARequiredKeyMustBeThere) {
  auto reader = Parsed("");
  std::string listen;
  reader.Read({.name = "listen", .place = &listen, .required = true});
  const Error error = Problem(reader);
  EXPECT_EQ(error.code, Code::kConfigInvalid);
  EXPECT_THAT(error.message, HasSubstr("'listen' is missing"));
}

TEST(ConfigReader, BoundsAreInclusiveAndNamed) {
  for (const int value : {0, 11}) {
    auto reader = Parsed("\ncount = " + std::to_string(value) + "\n");
    int64_t count = 5;
    reader.Read({.name = "count", .place = &count, .bounds = Between(1, 10)});
    const Error error = Problem(reader);
    EXPECT_EQ(error.code, Code::kConfigInvalid);
    EXPECT_THAT(error.message, HasSubstr("gateway.toml:2"));
    EXPECT_THAT(error.message, HasSubstr("between 1 and 10"));
    EXPECT_EQ(count, 5);
  }
  for (const int value : {1, 10}) {
    auto reader = Parsed("count = " + std::to_string(value) + "\n");
    int64_t count = 5;
    reader.Read({.name = "count", .place = &count, .bounds = Between(1, 10)});
    ASSERT_TRUE(reader.Finish().has_value());
    EXPECT_EQ(count, value);
  }
}

TEST(ConfigReader, NaNIsOutOfEveryBound) {
  auto reader = Parsed("share = nan\n");
  double share = 0.25;
  reader.Read({.name = "share", .place = &share, .bounds = Between(0, 1)});
  EXPECT_EQ(Problem(reader).code, Code::kConfigInvalid);
  EXPECT_EQ(share, 0.25);
}

TEST(ConfigReader, WrongTypesAreRefused) {
  const auto refused = [](std::string_view text, auto get) {
    auto reader = Parsed(text);
    get(reader);
    EXPECT_EQ(Problem(reader).code, Code::kConfigInvalid) << text;
  };
  std::string text;
  bool flag = false;
  int64_t count = 0;
  std::vector<std::string> list;
  refused("a = 1", [&](ConfigReader& r) { r.Read({.name = "a", .place = &text}); });
  refused("a = 'true'", [&](ConfigReader& r) { r.Read({.name = "a", .place = &flag}); });
  refused("a = '1'", [&](ConfigReader& r) { r.Read({.name = "a", .place = &count, .bounds = Between(0, 9)}); });
  refused("a = 1.5", [&](ConfigReader& r) { r.Read({.name = "a", .place = &count, .bounds = Between(0, 9)}); });
  refused("a = 'x'", [&](ConfigReader& r) { r.Read({.name = "a", .place = &list}); });
  refused("a = ['x', 1]", [&](ConfigReader& r) { r.Read({.name = "a", .place = &list}); });
  text = "one";
  refused("a = 'three'", [&](ConfigReader& r) { r.Read({.name = "a", .place = &text, .names = kNumbers}); });
}

TEST(ConfigReader, TheFirstProblemIsKept) {
  auto reader = Parsed("a = 1\nb = 2\n");
  std::string text;
  reader.Read({.name = "a", .place = &text});
  reader.Read({.name = "b", .place = &text});
  EXPECT_THAT(Problem(reader).message, HasSubstr("gateway.toml:1"));
}

TEST(ConfigReader, RejectAddsTheLine) {
  auto reader = Parsed("\n\naddress = 'here'\n");
  std::string address;
  reader.Read({.name = "address", .place = &address});
  reader.Reject("address", "is not an address");
  EXPECT_EQ(Problem(reader).message, "gateway.toml:3: 'address' is not an address");
}

TEST(ConfigReader, BadSyntaxIsNamedWithItsLine) {
  const auto reader = ConfigReader::Parse("a = 1\nb = = 2\n", "gateway.toml");
  ASSERT_FALSE(reader.has_value());
  EXPECT_EQ(reader.error().code, Code::kConfigSyntax);
  EXPECT_THAT(reader.error().message, HasSubstr("gateway.toml:2"));
}

TEST(ConfigReader, PathsAreRelativeToTheFile) {
  const TemporaryFolder folder;
  const Path file = folder / "device.toml";
  ASSERT_TRUE(
      WriteFileAtomically(RealFileSystem(), file, AsBytes("data = 'here/data'\nlog = '/var/log/x'\n")).has_value());
  auto reader = ConfigReader::Load(file);
  ASSERT_TRUE(reader.has_value());
  Path data, log, other = "unset";
  reader->Read({.name = "data", .place = &data});
  reader->Read({.name = "log", .place = &log});
  reader->Read({.name = "other", .place = &other});
  ASSERT_TRUE(reader->Finish().has_value());
  EXPECT_EQ(data, folder / "here/data");
  EXPECT_EQ(log, "/var/log/x");
  EXPECT_EQ(other, "unset");
}

TEST(ConfigReader, MissingAndOversizedFilesAreRefused) {
  const TemporaryFolder folder;
  EXPECT_EQ(ConfigReader::Load(folder / "none.toml").error().code, Code::kNotFound);
  const Bytes large(limits::kConfigBytes + 1, '#');
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "large.toml", large).has_value());
  EXPECT_EQ(ConfigReader::Load(folder / "large.toml").error().code, Code::kTooLarge);
}

}  // namespace
}  // namespace tributary::config_test
