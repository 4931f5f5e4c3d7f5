#include "aggregator/api/server_sent_event.h"

#include <rapidcheck.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"

namespace tributary::server_sent_event_test {
namespace {

std::vector<ServerSentEvent> ParseAll(std::string_view bytes, size_t step = SIZE_MAX) {
  std::vector<ServerSentEvent> events;
  EventStreamParser parser([&](const ServerSentEvent& event) {
    events.push_back(event);
    return true;
  });
  while (!bytes.empty()) {
    EXPECT_TRUE(parser.Take(bytes.substr(0, step)));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  return events;
}

TEST(ServerSentEvent, EncodesAsTheStandardSays) {
  EXPECT_EQ(EncodeServerSentEvent({"5f-17", "round.contribution", "{\"a\":1}\nb"}),
            "id: 5f-17\nevent: round.contribution\ndata: {\"a\":1}\ndata: b\n\n");
}

TEST(ServerSentEvent, ReadsEveryLineEndAndIgnoresComments) {
  const auto events =
      ParseAll(": alive\n\nid: 1\r\ndata:one\r\ndata: two\r\n\r\nevent: x\rdata\r\rretry: 5\nevent: none\n\n");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], (ServerSentEvent{"1", "message", "one\ntwo"}));
  EXPECT_EQ(events[1], (ServerSentEvent{"1", "x", ""}));  // the id stays until there is another
}

TEST(ServerSentEvent, SurvivesAnyCut) {
  rc::check([](std::vector<std::string> texts, uint8_t step) {
    std::string bytes;
    std::vector<ServerSentEvent> sent;
    for (auto& text : texts) {
      std::erase(text, '\r');  // a line end of its own
      sent.push_back({std::to_string(sent.size()), "name", text});
      bytes += EncodeServerSentEvent(sent.back());
    }
    RC_ASSERT(ParseAll(bytes, step + 1u) == sent);
  });
}

TEST(ServerSentEvent, StopsWhenTheHandlerHasEnough) {
  int seen = 0;
  EventStreamParser parser([&](const ServerSentEvent&) { return ++seen < 2; });
  EXPECT_EQ(parser.Take("data: 1\n\n"), true);
  EXPECT_EQ(parser.Take("data: 2\n\ndata: 3\n\n"), false);
  EXPECT_EQ(seen, 2);
}

TEST(ServerSentEvent, AnEndlessEventIsTooLarge) {
  EventStreamParser parser([](const ServerSentEvent&) { return true; });
  const std::string line = "data: " + std::string(limits::kMiB, 'x') + "\n";
  Result<bool> status = true;
  for (int i = 0; status && i < 8; ++i) status = parser.Take(line);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kTooLarge);
}

}  // namespace
}  // namespace tributary::server_sent_event_test
