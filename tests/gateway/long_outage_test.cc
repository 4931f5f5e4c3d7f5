#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

#include <gtest/gtest.h>

#include "gateway/gateway.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"

// Days without an uplink, in minutes: the clock is the test's. With TRIBUTARY_LONG_TESTS it is the outage that a
// gateway must stand untended: three days, 500 devices.
namespace tributary::long_outage_test {
namespace {

constexpr Millis kHour{3'600'000};
constexpr size_t kUpdateBytes = 100'000;  // a file of its own
constexpr size_t kReportBytes = 1'000;    // in the index
// An upload's cost beside its ciphertext: its row with envelope and certificates, its entries in the indexes.
constexpr double kIndexBytes = 2'500;

// A device's outbox without a disk: 500 databases are not what is measured here.
class MemoryOutbox final : public UploadSource {
 public:
  void Put(SealedUpload upload) {
    SpooledUpload facts = FactsOf(upload.header);
    facts.state = UploadState::kComplete;
    uploads_.emplace_back(facts, std::move(upload));
  }
  bool empty() const { return uploads_.empty(); }

  Result<std::vector<SpooledUpload>> Pending(size_t limit) const override {
    std::vector<SpooledUpload> pending;
    for (const auto& [facts, upload] : uploads_) {
      if (pending.size() < limit) pending.push_back(facts);
    }
    return pending;
  }
  Result<Bytes> ReadEnvelope(const UploadId& id) const override { return Find(id).envelope; }
  Result<Bytes> ReadChunk(const UploadId& id, uint32_t index) const override { return Find(id).chunks.at(index); }
  void Delivered(const UploadId& id, Done<void> done) override {
    std::erase_if(uploads_, [&](const auto& upload) { return upload.first.id == id; });
    done({});
  }
  void Drop(const UploadId& id, Code reason, Done<void>) override {
    TRIBUTARY_CHECK(false) << id.hex() << " was given up: " << Name(reason);
  }

 private:
  const SealedUpload& Find(const UploadId& id) const {
    const auto found = std::ranges::find_if(uploads_, [&](const auto& upload) { return upload.first.id == id; });
    TRIBUTARY_CHECK(found != uploads_.end()) << id.hex();
    return found->second;
  }
  std::vector<std::pair<SpooledUpload, SealedUpload>> uploads_;
};

hop::CheckIn Informed() {
  hop::CheckIn check_in;
  check_in.publication_number = 1;
  return check_in;
}

struct Device {
  Device(HopWorld& world, const HopClient::Options& to, std::string_view id)
      : identity(world.fleet.Issue(Role::kDevice, id)),
        client({world.loop, world.clock, world.random, identity}, to, {[] { return Informed(); }, [](ByteView) {}}),
        courier(client, world.loop, world.clock, world.random, outbox, {}, [](const UploadId&, const Error*) {}) {
    client.Start();
  }
  const Identity identity;
  MemoryOutbox outbox;
  HopClient client;
  Courier courier;
};

double ResidentMib() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages >> pages;
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE)) / static_cast<double>(limits::kMiB);
}

double BytesBelow(const Path& folder) {
  double bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
  }
  return bytes;
}

class LongOutage : public testing::Test {
 protected:
  LongOutage() {
    options_.data_dir = world_.folder / "data";
    options_.identity_dir = world_.fleet.IssueInto(world_.folder / "identity", Role::kGateway, "gateway-1");
    options_.hop.endpoint = "tcp://127.0.0.1:*";
    options_.upstream = upstream_.endpoint();
    options_.upstream_key = ToHex(upstream_.identity().subject.curve_public_key);
  }
  ~LongOutage() override {
    if (!gateway_) return;
    gateway_->Stop();
    thread_.join();
  }

  void StartInformed() {
    auto opened = Gateway::Open(options_, world_.clock, random_, RealFileSystem());
    TRIBUTARY_CHECK(opened.has_value()) << opened.error().ToString();
    gateway_ = std::move(*opened);
    thread_ = std::thread([this] { gateway_->Run(); });
    upstream_->Publish(MakePublication(world_, upstream_.blobs, 1, ModelVersion{3}), 1, 1);
    const auto held = [&] { return std::filesystem::exists(options_.data_dir / "relay" / "publication.bin"); };
    TRIBUTARY_CHECK(world_.RunUntilWithTime(held));
    address_.endpoint = gateway_->endpoint();
    address_.server_key = LoadIdentity(options_.identity_dir, world_.clock.Now())->subject.curve_public_key;
  }

  void Give(Device& device, UploadKind kind, Priority priority) {
    UploadSubject subject;
    subject.id = world_.random.TakeUploadId();
    subject.kind = kind;
    subject.codec = kind == UploadKind::kUpdate ? Codec::kFloat32Dense : Codec::kRecord;
    subject.priority = priority;
    subject.task = TestTask("digits");
    subject.base_version = ModelVersion{3};
    subject.device = device.identity.subject.id;
    subject.created = world_.clock.Now();
    SealedUpload upload =
        Must(SealUpload(subject, world_.random.TakeBytes(kind == UploadKind::kUpdate ? kUpdateBytes : kReportBytes),
                        limits::kDefaultChunkBytes, {kDefaultAead, world_.fleet.sealing_key().public_key},
                        device.identity.key, device.identity.chain));
    given_bytes_ += static_cast<double>(upload.header.ciphertext_size);
    ++given_;
    device.outbox.Put(std::move(upload));
    device.courier.Nudge();
  }

  HopWorld world_;
  SystemRandom random_;
  TestServer upstream_{world_, Role::kAggregator, "aggregator"};
  GatewayOptions options_;
  HopClient::Options address_;
  std::unique_ptr<Gateway> gateway_;
  std::thread thread_;
  double given_bytes_ = 0;
  size_t given_ = 0;
};

TEST_F(LongOutage, MemoryStaysFlatTheDiskIsAsPredictedAndTheRestComesInOrder) {
  const bool whole = std::getenv("TRIBUTARY_LONG_TESTS") != nullptr;
  const int count = whole ? 500 : 40;
  const Millis end = (whole ? 72 : 24) * kHour;
  const Millis step = 3 * kHour;
  StartInformed();
  upstream_.Stop();
  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < count; ++i)
    devices.push_back(std::make_unique<Device>(world_, address_, "d" + std::to_string(i)));
  const auto all_given = [&] { return std::ranges::all_of(devices, [](const auto& d) { return d->outbox.empty(); }); };

  double early_mib = 0;
  for (Millis now{0}; now < end; now += step) {
    for (const auto& device : devices) {
      Give(*device, UploadKind::kDeviceState, Priority::kDeviceState);
      if (now == step) Give(*device, UploadKind::kEvaluation, Priority::kEvaluation);
      if (now == 2 * step) Give(*device, UploadKind::kUpdate, Priority::kUpdate);
    }
    // In the night between, the gateway's idea of who is connected runs out: everybody comes back.
    world_.clock.Advance(step);
    ASSERT_TRUE(world_.RunUntilWithTime(all_given, Millis(20), 100'000)) << "after " << now / kHour << " h";
    if (now == 3 * step) early_mib = ResidentMib();
  }
  const double grown_mib = ResidentMib() - early_mib;
  const double disk = BytesBelow(options_.data_dir / "spool");
  const double predicted = given_bytes_ + kIndexBytes * static_cast<double>(given_);
  std::cout << given_ << " uploads of " << given_bytes_ / 1e6 << " MB in custody; memory grew by " << grown_mib
            << " MiB since the first half day; disk " << disk / 1e6 << " MB, predicted " << predicted / 1e6 << " MB"
            << std::endl;
  if (!kSanitized) {
    EXPECT_LT(grown_mib, 24);
  }
  EXPECT_LT(disk, 1.15 * predicted + 8e6);  // and the write-ahead log, and the reserve
  EXPECT_GT(disk, given_bytes_);

  std::vector<Priority> order;
  upstream_.sink.judge = [&](const SignedEnvelope& envelope) {
    order.push_back(envelope.header.subject.priority);
    return std::nullopt;
  };
  devices.clear();
  upstream_.Start();
  upstream_->Publish(MakePublication(world_, upstream_.blobs, 1, ModelVersion{3}), 1, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return upstream_.sink.complete.size() == given_; }, Millis(20), 400'000))
      << upstream_.sink.complete.size() << " of " << given_;
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(order.size(), given_) << "something was offered twice";
}

// Somebody sets the gateway's clock, and its devices', half a day on and back: nothing is lost, refused or sent twice.
TEST_F(LongOutage, ClockStepsOfHoursInEitherDirectionHarmNothing) {
  world_.clock.Advance(24 * kHour);  // the identities are made at the start of time
  StartInformed();
  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < 5; ++i) devices.push_back(std::make_unique<Device>(world_, address_, "d" + std::to_string(i)));
  for (const Millis step : {12 * kHour, -23 * kHour, 11 * kHour}) {
    world_.clock.SetWall(world_.clock.Now() + step);
    for (const auto& device : devices) Give(*device, UploadKind::kDeviceState, Priority::kDeviceState);
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return upstream_.sink.complete.size() == given_; }, Millis(20), 10'000))
        << "after a step of " << step / kHour << " h: " << upstream_.sink.complete.size() << " of " << given_;
  }
  EXPECT_EQ(upstream_.sink.offered_via.size(), given_) << "something was offered twice";
}

}  // namespace
}  // namespace tributary::long_outage_test
