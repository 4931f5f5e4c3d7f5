#include <condition_variable>
#include <mutex>

#include "tests/gateway/gateway_fixture.h"
#include "tests/support/guarded_disk.h"

// A card that takes minutes to store a model.
namespace tributary::slow_disk_test {
namespace {

// Every change below a folder of blobs waits there until it is let go.
class HeldDisk final : public GuardedDisk {
 public:
  ~HeldDisk() override { LetGo(); }
  void LetGo() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  bool anybody_waits() {
    const std::lock_guard lock(mutex_);
    return waiting_ > 0;
  }

 private:
  Status Change(const Path& path) override {
    if (path.parent_path().filename() != "blobs") return {};
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.wait(lock, [this] { return !held_; });
    --waiting_;
    return {};
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = true;
  int waiting_ = 0;
};

using SlowDiskTest = GatewayTest;

TEST_F(SlowDiskTest, WhileItStoresAModelEverybodyIsServed) {
  const Bytes publication = MakePublication(world_, upstream_.blobs, 1, ModelVersion{3});
  const auto held = [&] { return std::filesystem::exists(options_.data_dir / "relay" / "publication.bin"); };
  {
    const Running gateway(Open());
    upstream_->Publish(publication, 1, 1);
    ASSERT_TRUE(world_.RunUntilWithTime(held));
  }
  HeldDisk disk;
  Running gateway(Open(disk));
  // Also when an expectation fails, before the gateway waits for its disk.
  const std::shared_ptr<void> in_the_end(nullptr, [&](void*) { disk.LetGo(); });
  upstream_->Publish(MakePublication(world_, upstream_.blobs, 2, ModelVersion{4}), 2, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return disk.anybody_waits(); }));
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  TestSender sender(world_, device, world_.folder / "outbox", Address(*gateway));
  sender.Put(MakeSealed(world_, device, 50'000));
  sender.client().Start();
  // From connecting to custody; nothing of it waits for the card.
  ASSERT_TRUE(world_.RunUntil([&] { return !sender.gone.empty() && !sender.publications.empty(); }));
  EXPECT_EQ(sender.gone[0].second, std::nullopt);
  EXPECT_EQ(PublicationOf(world_, sender.publications[0]).number, 1u);
  EXPECT_TRUE(disk.anybody_waits());
  disk.LetGo();
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return PublicationOf(world_, sender.publications.back()).number == 2u; },
                                      Millis(100), 20'000));
}

}  // namespace
}  // namespace tributary::slow_disk_test
