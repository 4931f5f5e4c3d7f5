#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <random>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "tests/device/examples/collection_fixture.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

// The program tributary-device: what it is made of, and what it costs while it has nothing to do.
namespace tributary::device_process_test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kProgram = TRIBUTARY_BIN_DIR "/tributary-device";

std::string OutputOf(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> piece;
  for (size_t got; (got = fread(piece.data(), 1, piece.size(), pipe)) > 0;) text.append(piece.data(), got);
  EXPECT_EQ(pclose(pipe), 0) << text;
  return text;
}

TEST(DeviceProcessTest, LinksNoLibTorch) {
  const std::string libraries = OutputOf("/usr/bin/ldd " + kProgram);
  EXPECT_THAT(libraries, HasSubstr("libc.so"));
  for (const std::string name : {"torch", "libc10", "openblas", "seccomp"})
    EXPECT_THAT(libraries, Not(HasSubstr(name)));
  const auto bytes = Must(ReadFile(RealFileSystem(), kProgram, uint64_t{1} << 31));
  EXPECT_EQ(AsText(bytes).find("TorchLearner"), std::string_view::npos);
  EXPECT_NE(AsText(bytes).find("ProcessLearner"), std::string_view::npos) << "the search finds what is there";
}

TEST(DeviceProcessTest, SaysItsVersionAtOnce) {
  Millis best{1'000'000};
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    OutputOf(kProgram + " --version");
    best = std::min(best, std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - start));
  }
  // 12 ms on a quiet machine, with the shell; LibTorch alone took 500.
  EXPECT_LT(best, Millis(kSanitized ? 2'000 : 200));
}

// Ten images of 2 x 2 bytes, as the files of MNIST are written.
void WriteImages(const Path& folder) {
  std::filesystem::create_directories(folder);
  const std::string images("\0\0\x08\x03\0\0\0\x0a\0\0\0\x02\0\0\0\x02", 16), labels("\0\0\x08\x01\0\0\0\x0a", 8);
  for (const std::string part : {"train", "t10k"}) {
    std::ofstream(folder / (part + "-images-idx3-ubyte")) << images + std::string(40, 'x');
    std::ofstream(folder / (part + "-labels-idx1-ubyte")) << labels + std::string(10, '\1');
  }
}

// Runs an import and kills it after `life`, if it still runs then. How long it ran, and whether it ended well.
std::pair<std::chrono::microseconds, bool> Import(const Path& config, const Path& file,
                                                  std::chrono::microseconds life) {
  const auto start = std::chrono::steady_clock::now();
  const auto age = [&] {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  };
  const pid_t child = fork();
  if (child == 0) {
    const int out = open("/dev/null", O_WRONLY);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execl(kProgram.c_str(), kProgram.c_str(), "data", "import", "--config", config.c_str(), "--collection", "rows",
          "--held-out-share", "0", "--field", "x=value", file.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (age() < life) {
      sched_yield();
      continue;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    break;
  }
  return {age(), WIFEXITED(status) && WEXITSTATUS(status) == 0};
}

TEST(DeviceProcessTest, AnImportThatIsKilledLeavesAllOrNothing) {
  constexpr size_t kRows = 400;
  constexpr int kKills = 8;
  TestFleet fleet(SystemClock().Now());
  TemporaryFolder folder;
  const Path config = folder / "device.toml", file = folder / "rows.csv";
  std::ofstream(config) << "[device]\ndata_dir = \"data\"\nidentity_dir = \"identity\"\n"
                           "[gateway]\nendpoint = \"tcp://127.0.0.1:9\"\nserver_key = \""
                        << ToHex(fleet.Issue(Role::kGateway, "gateway-1").subject.curve_public_key) << "\"\n";
  std::filesystem::create_directories(folder / "data");
  std::ofstream rows(file);
  rows << "value\n";
  for (size_t i = 0; i < kRows; ++i) rows << i << '\n';
  rows.close();
  const auto [whole, ended] = Import(config, file, std::chrono::minutes(2));
  ASSERT_TRUE(ended);
  std::mt19937 random(1);
  std::uniform_int_distribution<int64_t> point(0, whole.count());
  uint64_t before = kRows;
  int killed = 0;
  for (int i = 0; i < kKills; ++i) {
    const std::chrono::microseconds life(point(random));
    const bool done = Import(config, file, life).second;
    killed += done ? 0 : 1;
    const auto store = Must(CollectionStore::Open(folder / "data"));
    const uint64_t now = Must(store->Find("rows")).examples;
    EXPECT_TRUE(now == before + kRows || (!done && now == before)) << now << " after " << life.count() << " us";
    const std::vector<std::string> fields = {"x"};
    const TaskExamples loaded = Must(store->Load("rows", fields, SystemClock().Now()));
    ASSERT_EQ(loaded.training.size(), now);
    const auto values = ValuesOf<float>(loaded, "x");
    ASSERT_EQ(values.size(), now);
    for (size_t k = 0; k < values.size(); ++k) ASSERT_EQ(values[k], static_cast<float>(k % kRows));
    before = now;
  }
  EXPECT_GT(killed, 0);
  EXPECT_TRUE(Import(config, file, std::chrono::minutes(2)).second);
  EXPECT_EQ(Must(Must(CollectionStore::Open(folder / "data"))->Find("rows")).examples, before + kRows);
}

TEST(DeviceProcessTest, AnIdleDeviceCostsAFewMegabytes) {
  TestFleet fleet(SystemClock().Now());
  TemporaryFolder folder;
  fleet.IssueInto(folder / "identity", Role::kDevice, "device-1");
  WriteImages(folder / "images");
  const Path config = folder / "device.toml", log = folder / "log";
  std::ofstream(config) << "[device]\ndata_dir = \"data\"\nidentity_dir = \"identity\"\n"
                           "[gateway]\nendpoint = \"tcp://127.0.0.1:9\"\nserver_key = \""
                        << ToHex(fleet.Issue(Role::kGateway, "gateway-1").subject.curve_public_key)
                        << "\"\n[examples]\ndir = \"images\"\n";
  const pid_t child = fork();
  if (child == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execl(kProgram.c_str(), kProgram.c_str(), "--config", config.c_str(), nullptr);
    _exit(127);
  }
  const auto text = [&] {
    const auto bytes = ReadFile(RealFileSystem(), log, limits::kMiB);
    return bytes ? std::string(AsText(*bytes)) : "";
  };
  int status = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (text().find("device.started") == std::string::npos && std::chrono::steady_clock::now() < end &&
         waitpid(child, &status, WNOHANG) == 0) {
    sched_yield();
  }
  EXPECT_THAT(text(), HasSubstr("device.started"));
  std::ifstream file("/proc/" + std::to_string(child) + "/status");
  uint64_t kib = 0;
  for (std::string word; file >> word;) {
    if (word == "VmRSS:") file >> kib;
  }
  kill(child, SIGTERM);
  waitpid(child, &status, 0);
  RecordProperty("resident_kib", static_cast<int>(kib));
  printf("resident %lu KiB\n", static_cast<unsigned long>(kib));
  EXPECT_GT(kib, 1'000u);
  EXPECT_LT(kib, kSanitized ? 1'000'000u : 40'000u);
}

}  // namespace
}  // namespace tributary::device_process_test
