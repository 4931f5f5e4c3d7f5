#include "protocol/hop/client/sending_window.h"

#include <gtest/gtest.h>

namespace tributary::sending_window_test {
namespace {

constexpr uint32_t kChunkSize = 1'000;
constexpr size_t kChunk = kChunkSize + limits::kSealTagBytes;

SpooledUpload MakeUpload(uint8_t number, Priority priority, uint32_t chunks = 3) {
  SpooledUpload upload;
  upload.id.mutable_view()[0] = number;
  upload.priority = priority;
  upload.chunk_size = kChunkSize;
  upload.chunk_count = chunks;
  upload.ciphertext_size = chunks * kChunk;
  return upload;
}

// The uploads whose next chunk may go, in order.
std::vector<uint8_t> Ready(const SendingWindow& window) {
  std::vector<uint8_t> ready;
  SendingWindow::Place place = SendingWindow::kBefore;
  while (const auto* upload = window.NextReady(place)) {
    ready.push_back(upload->facts.id.view()[0]);
    place = upload->place;
  }
  return ready;
}

TEST(SendingWindowTest, TheMoreUrgentGoesFirstThenWhoeverWasOfferedFirst) {
  SendingWindow window(10, limits::kMiB);
  for (const SpooledUpload& upload :
       {MakeUpload(1, Priority::kSample), MakeUpload(2, Priority::kUpdate), MakeUpload(3, Priority::kSample)}) {
    window.Add(upload);
    EXPECT_EQ(Ready(window), std::vector<uint8_t>()) << "before the server says where to go on";
  }
  for (const UploadId& id : window.Ids()) window.Resume(id, 0);
  EXPECT_EQ(Ready(window), (std::vector<uint8_t>{2, 1, 3}));
}

TEST(SendingWindowTest, OfOneUploadOneChunkIsUnderWay) {
  SendingWindow window(10, limits::kMiB);
  const SpooledUpload upload = MakeUpload(1, Priority::kUpdate, 2);
  window.Add(upload);
  window.AddCredit(2 * kChunk);
  window.Resume(upload.id, 0);
  window.Sent(upload.id, kChunk, Millis(0));
  EXPECT_EQ(window.in_flight(), kChunk);
  EXPECT_TRUE(Ready(window).empty());
  window.Landed(upload.id, 0, Millis(1));  // says nothing of the chunk that was sent
  EXPECT_TRUE(Ready(window).empty());
  window.Landed(upload.id, 1, Millis(1));
  EXPECT_EQ(window.in_flight(), 0u);
  EXPECT_EQ(Ready(window).size(), 1u);
  window.Sent(upload.id, kChunk, Millis(2));
  window.Landed(upload.id, 2, Millis(3));
  EXPECT_TRUE(Ready(window).empty()) << "all is sent";
  EXPECT_FALSE(window.HasCredit(1));
}

TEST(SendingWindowTest, GrowsOnAQuickLinkAndShrinksOnASlowOne) {
  SendingWindow window(10, 2 * limits::kDefaultChunkBytes);
  const SpooledUpload upload = MakeUpload(1, Priority::kUpdate, 1'000);
  window.Add(upload);
  window.Resume(upload.id, 0);
  uint32_t chunk = 0;
  Millis now{0};
  const auto send = [&](Millis takes) {
    window.AddCredit(kChunk);
    window.Sent(upload.id, kChunk, now);
    const size_t more = 2 * limits::kDefaultChunkBytes - kChunk;
    const bool room = window.Fits(more);
    now += takes;
    window.Landed(upload.id, ++chunk, now);
    return room;
  };
  EXPECT_FALSE(send(Millis(1)));
  for (int i = 0; i < 300; ++i) send(Millis(1));
  EXPECT_TRUE(send(Millis(1)));
  EXPECT_TRUE(send(Millis(2'001)));
  EXPECT_FALSE(send(Millis(1)));
}

TEST(SendingWindowTest, RoomIsTakenByWhatIsAsUrgentOrMore) {
  SendingWindow window(2, limits::kMiB);
  window.Add(MakeUpload(1, Priority::kSample));
  window.Add(MakeUpload(2, Priority::kSample));
  EXPECT_FALSE(window.HasRoom(Priority::kSample));
  EXPECT_TRUE(window.HasRoom(Priority::kUpdate));
  window.Add(MakeUpload(3, Priority::kUpdate));
  window.Add(MakeUpload(4, Priority::kUpdate));
  EXPECT_TRUE(window.IsFull());
  EXPECT_FALSE(window.HasRoom(Priority::kControl));
  EXPECT_TRUE(window.Remove(MakeUpload(1, Priority::kSample).id));
  EXPECT_FALSE(window.Remove(MakeUpload(1, Priority::kSample).id));
  EXPECT_TRUE(window.HasRoom(Priority::kControl));
  EXPECT_FALSE(window.HasRoom(Priority::kUpdate));
  window.Clear();
  EXPECT_EQ(window.size(), 0u);
  EXPECT_TRUE(window.HasRoom(Priority::kSample));
}

// An upload is offered ahead of its turn until two windows of bytes wait.
TEST(SendingWindowTest, ManyUnsentBytesLeaveNoRoom) {
  SendingWindow window(10, limits::kMiB);
  const auto chunks = static_cast<uint32_t>(2 * limits::kDefaultChunkBytes / kChunk + 1);
  const SpooledUpload large = MakeUpload(1, Priority::kUpdate, chunks);
  window.Add(large);
  EXPECT_FALSE(window.HasRoom(Priority::kUpdate));
  window.Resume(large.id, 1);
  EXPECT_TRUE(window.HasRoom(Priority::kUpdate));
}

}  // namespace
}  // namespace tributary::sending_window_test
