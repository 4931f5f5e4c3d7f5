#include "aggregator/api/event_feed.h"

#include <thread>

#include <gtest/gtest.h>

namespace tributary::event_feed_test {
namespace {

CoreEvent Event(uint64_t reports) {
  CoreEvent event;
  event.name = "round.contribution";
  event.contributions = reports;
  return event;
}

uint64_t ReportsOf(const WatchedEvent& event) { return std::get<CoreEvent>(event).contributions; }

TEST(EventFeed, BeginsBehindTheNewest) {
  EventFeed feed("life");
  feed.Publish(Event(1));
  auto position = feed.After(std::nullopt);
  EXPECT_FALSE(position.lost);
  EXPECT_TRUE(feed.Take(position, Millis(0)).empty());
  feed.Publish(Event(2));
  const auto taken = feed.Take(position, Millis(0));
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(ReportsOf(taken[0].event), 2u);
  EXPECT_EQ(feed.IdOf(taken[0].number), "life-2");
}

TEST(EventFeed, GoesOnBehindTheLastEventSeen) {
  EventFeed feed("life");
  for (uint64_t i = 1; i <= 5; ++i) feed.Publish(Event(i));
  auto position = feed.After("life-3");
  EXPECT_FALSE(position.lost);
  const auto taken = feed.Take(position, Millis(0));
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(ReportsOf(taken[0].event), 4u);
}

TEST(EventFeed, SaysWhenEventsAreLost) {
  EventFeed feed("life", 3);
  for (uint64_t i = 1; i <= 5; ++i) feed.Publish(Event(i));
  EXPECT_FALSE(feed.After("life-2").lost);  // 3, 4 and 5 are there
  EXPECT_FALSE(feed.After("life-5").lost);
  for (const char* id : {"life-1", "life-6", "other-4", "life-", "life-x", "4", "life--1"}) {
    auto position = feed.After(id);
    EXPECT_TRUE(position.lost) << id;
    EXPECT_EQ(feed.Take(position, Millis(0)).size(), 3u) << id;
  }
}

TEST(EventFeed, AReaderThatFallsBehindIsTold) {
  EventFeed feed("life", 2);
  auto position = feed.After(std::nullopt);
  for (uint64_t i = 1; i <= 5; ++i) feed.Publish(Event(i));
  const auto taken = feed.Take(position, Millis(0));
  EXPECT_TRUE(position.lost);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(ReportsOf(taken[0].event), 4u);
}

TEST(EventFeed, RoundsAndMembersAreOneOrder) {
  EventFeed feed("life");
  feed.Publish(Event(1));
  EnrolmentEvent enrolled;
  enrolled.name = "member.enrolled";
  feed.Publish(enrolled);
  feed.Publish(Event(2));
  auto position = feed.After("life-1");
  const auto taken = feed.Take(position, Millis(0));
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(std::get<EnrolmentEvent>(taken[0].event).name, "member.enrolled");
  EXPECT_EQ(ReportsOf(taken[1].event), 2u);
}

TEST(EventFeed, TakesAtMostSoMany) {
  EventFeed feed("life");
  auto position = feed.After(std::nullopt);
  for (uint64_t i = 1; i <= 5; ++i) feed.Publish(Event(i));
  EXPECT_EQ(feed.Take(position, Millis(0), 3).size(), 3u);
  EXPECT_EQ(feed.Take(position, Millis(0), 3).size(), 2u);
}

TEST(EventFeed, PublishAndCloseWakeAReader) {
  EventFeed feed("life");
  auto position = feed.After(std::nullopt);
  std::thread publisher([&] { feed.Publish(Event(1)); });
  EXPECT_EQ(feed.Take(position, Millis(60'000)).size(), 1u);
  publisher.join();
  std::thread closer([&] { feed.Close(); });
  EXPECT_TRUE(feed.Take(position, Millis(60'000)).empty());
  closer.join();
  EXPECT_TRUE(feed.closed());
}

}  // namespace
}  // namespace tributary::event_feed_test
