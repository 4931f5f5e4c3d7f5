// The data folder of a real process on a small file system of its own, which fills up while uploads come in.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/system/synthetic_site.h"

namespace tributary::full_disk_test {
namespace {

constexpr uint64_t kParameters = 500'000;  // an update of 2 MB
constexpr int kDevices = 12;
constexpr uint64_t kDiskMib = 18;  // for about six updates beside the model

// A file system in memory at a folder, seen by this process and its children only: it goes with them, however they end.
class SmallDisk {
 public:
  // Empty, or why this process may not make one.
  static std::string WhyNot() {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return std::string("mounting a small disk needs root's rights: ") + std::strerror(errno);
    }
    return "";
  }

  SmallDisk(Path folder, uint64_t mib) : folder_(std::move(folder)), size_("size=" + std::to_string(mib) + "m") {
    std::filesystem::create_directories(folder_);
    TRIBUTARY_CHECK(mount("tmpfs", folder_.c_str(), "tmpfs", 0, size_.c_str()) == 0) << std::strerror(errno);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() { umount2(folder_.c_str(), MNT_DETACH); }

  // Nobody may have a file open for writing.
  void SetReadOnly(bool read_only) {
    const unsigned long flags = MS_REMOUNT | (read_only ? MS_RDONLY : 0);
    TRIBUTARY_CHECK(mount(nullptr, folder_.c_str(), nullptr, flags, size_.c_str()) == 0) << std::strerror(errno);
  }
  // Takes all the room that is left, until Free.
  void Fill() {
    const int descriptor = open(Filler().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    TRIBUTARY_CHECK(descriptor >= 0) << std::strerror(errno);
    const Bytes block(4096);
    while (write(descriptor, block.data(), block.size()) > 0) {
    }
    close(descriptor);
  }
  void Free() { std::filesystem::remove(Filler()); }

 private:
  Path Filler() const { return folder_ / "filler"; }
  Path folder_;
  std::string size_;
};

class FullDisk : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = SmallDisk::WhyNot(); !why.empty()) GTEST_SKIP() << why;
  }

  static HttpReply Ready(SyntheticSite& site, const std::string& id) {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(site.site().HttpPortOf(id));
    return Must(Must(HttpClient::Create(options)).GetAnyStatus("/readyz"));
  }
  static bool SaysFull(SyntheticSite& site, const std::string& id) {
    const HttpReply ready = Ready(site, id);
    return ready.status == 503 && ready.body.find("disk-full") != std::string::npos;
  }
  // Restarts the process with its data folder there.
  static std::unique_ptr<SmallDisk> MoveToSmallDisk(SyntheticSite& site, const std::string& id, uint64_t mib) {
    site.site().Kill(id);
    const Path data = site.site().DataOf(id);
    Path before = data;
    before += ".before";
    std::filesystem::rename(data, before);
    auto disk = std::make_unique<SmallDisk>(data, mib);
    std::filesystem::copy(before, data, std::filesystem::copy_options::recursive);
    site.site().Start(id);
    return disk;
  }
  // Nothing is kept free: the disk itself has to say no.
  static std::unique_ptr<SmallDisk> AddGatewayOnSmallDisk(SyntheticSite& site, uint64_t mib) {
    site.AddAndStartGateway("gateway-1");
    std::ofstream(site.site().ConfigOf("gateway-1"), std::ios::app)
        << "[spool]\nmax_disk_percent = 0\nreserve_mib = 0\n";
    return MoveToSmallDisk(site, "gateway-1", mib);
  }
  static void AddDevices(SyntheticSite& site) {
    for (int i = 0; i < kDevices; ++i) {
      site.AddDevice(i, "gateway-1", 256 * 1024);
      ASSERT_TRUE(site.device(static_cast<size_t>(i)).AwaitVersion(1)) << site.Logs();
    }
  }
  // Everything arrived, once.
  static void ExpectTheSameBits(SyntheticSite& site) {
    std::vector<DeviceId> everybody;
    for (int i = 0; i < kDevices; ++i) {
      everybody.push_back(SyntheticSite::NameOf(i));
      ASSERT_TRUE(site.device(static_cast<size_t>(i)).AwaitCustody()) << i << "\n" << site.Logs();
    }
    ASSERT_TRUE(site.device(0).AwaitVersion(2, false)) << site.Logs();
    ExpectedVersions expected(site.task());
    EXPECT_EQ(site.VersionDigests(), std::vector{expected.Next(everybody).hex()});
    site.ExpectAccountsHold();
  }
};

TEST_F(FullDisk, AGatewayRefusesForNowAndDrainsByItself) {
  SyntheticSite site;
  const auto disk = AddGatewayOnSmallDisk(site, kDiskMib);
  site.CreateTask(kParameters, kDevices);
  Must(site.api().StartRounds("synthetic", 1));
  AddDevices(site);
  site.site().Kill("aggregator");

  std::vector<UploadId> uploads;
  for (size_t i = 0; i < kDevices; ++i) uploads.push_back(site.device(i).GiveUpdate());
  ASSERT_TRUE(site.site().Eventually([&] { return SaysFull(site, "gateway-1"); })) << site.Logs();
  size_t in_custody = 0;
  for (size_t i = 0; i < kDevices; ++i) {
    if (!site.device(i).has_fate(uploads[i])) continue;
    ++in_custody;
    EXPECT_EQ(site.device(i).AwaitFate(uploads[i]).value(), std::nullopt) << "a full disk ends no upload";
  }
  EXPECT_LT(in_custody, static_cast<size_t>(kDevices));

  site.site().Start("aggregator");
  ExpectTheSameBits(site);
  EXPECT_TRUE(site.site().Eventually([&] { return Ready(site, "gateway-1").status == 200; })) << site.Logs();
}

TEST_F(FullDisk, AnAggregatorWaitsForRoomAndEndsInTheSameBits) {
  SyntheticSite site;
  site.AddAndStartGateway("gateway-1");
  site.CreateTask(kParameters, kDevices);
  Must(site.api().StartRounds("synthetic", 1));
  AddDevices(site);
  const auto disk = MoveToSmallDisk(site, "aggregator", 2 * kDiskMib);
  disk->Fill();

  for (size_t i = 0; i < kDevices; ++i) site.device(i).GiveUpdate();
  ASSERT_TRUE(site.site().Eventually([&] { return SaysFull(site, "aggregator"); })) << site.Logs();
  for (size_t i = 0; i < kDevices; ++i) ASSERT_TRUE(site.device(i).AwaitCustody()) << "the gateway has room";
  EXPECT_TRUE(site.VersionDigests().empty());

  disk->Free();
  ExpectTheSameBits(site);
  EXPECT_TRUE(site.site().Eventually([&] { return Ready(site, "aggregator").status == 200; })) << site.Logs();
}

TEST_F(FullDisk, AGatewayOnAReadOnlyDiskSaysSoAndLosesNothing) {
  SyntheticSite site;
  const auto disk = AddGatewayOnSmallDisk(site, 4 * kDiskMib);
  site.CreateTask(kParameters, kDevices);
  Must(site.api().StartRounds("synthetic", 1));
  AddDevices(site);
  site.site().Kill("aggregator");
  for (size_t i = 0; i < kDevices / 2; ++i) site.device(i).GiveUpdate();
  for (size_t i = 0; i < kDevices / 2; ++i) ASSERT_TRUE(site.device(i).AwaitCustody()) << site.Logs();

  // The kernel turns no disk read-only under an open file, but by an error; so it comes back from a crash.
  site.site().Kill("gateway-1");
  disk->SetReadOnly(true);
  const Ended ended = site.site().RunToEnd("gateway-1");
  EXPECT_NE(ended.code, 0);
  EXPECT_NE(ended.output.find("read-only"), std::string::npos) << ended.output;
  for (size_t i = kDevices / 2; i < kDevices; ++i) site.device(i).GiveUpdate();

  disk->SetReadOnly(false);
  site.site().Start("gateway-1");
  site.site().Start("aggregator");
  ExpectTheSameBits(site);
}

}  // namespace
}  // namespace tributary::full_disk_test
