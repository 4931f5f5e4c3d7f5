#include "gateway/tools/spool_check.h"

#include <fstream>

#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_check_test {
namespace {

TEST(SpoolCheck, FindsDamageAndOrphansAndChangesNothing) {
  SpoolFixture f;
  const TestUpload uploads[] = {MakeUpload(1, kSmall), MakeUpload(2, kLarge), MakeUpload(3, kLarge),
                                MakeUpload(4, kLarge), MakeUpload(5, kLarge)};
  for (const TestUpload& upload : uploads) ASSERT_TRUE(f.Put(upload));
  ASSERT_TRUE(f.Drop(uploads[4].id(), Code::kNotFinite));
  const auto sound = CheckSpool(f.options.folder, f.disk);
  ASSERT_TRUE(sound) << sound.error().ToString();
  EXPECT_TRUE(sound->Sound());
  EXPECT_EQ(sound->uploads, 4u);
  EXPECT_EQ(sound->account.dead_letters, 1u);
  EXPECT_TRUE(sound->orphans.empty());

  const auto file = [&](int i) { return f.options.folder / "payloads" / (uploads[i].id().hex() + ".payload"); };
  std::filesystem::remove(file(1));
  std::filesystem::resize_file(file(2), 5'000);  // inside the second chunk
  std::fstream(file(3), std::ios::in | std::ios::out) << "rot";
  std::ofstream(f.options.folder / "payloads" / "0123.payload") << "nobody's";
  const auto check = CheckSpool(f.options.folder, f.disk);
  EXPECT_FALSE(check->Sound());
  ASSERT_EQ(check->damaged.size(), 3u);
  std::map<UploadId, uint64_t> lost;
  for (const DamagedUpload& each : check->damaged) lost[each.upload.id] = each.bytes_lost;
  const uint64_t all = uploads[1].payload.size();
  EXPECT_EQ(lost.at(uploads[1].id()), all);
  EXPECT_EQ(lost.at(uploads[2].id()), all - uploads[2].Chunk(0).size());
  EXPECT_EQ(lost.at(uploads[3].id()), all);
  EXPECT_EQ(check->BytesLost(), 3 * all - uploads[2].Chunk(0).size());
  EXPECT_EQ(check->orphans, std::vector<std::string>{"0123.payload"});
  EXPECT_TRUE(check->account.Balances());
  EXPECT_EQ(f.spool->Pending(10)->size(), 4u);
  EXPECT_EQ(f.spool->DeadLetters(10)->size(), 1u);
}

}  // namespace
}  // namespace tributary::spool_check_test
