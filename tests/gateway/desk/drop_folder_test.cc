#include "gateway/desk/drop_folder.h"

#include <gtest/gtest.h>

#include "tests/support/must.h"

namespace tributary::drop_folder_test {
namespace {

const UploadId kId = Must(UploadId::FromHex("00112233445566778899aabbccddeeff"));

TEST(Order, IsOneLine) {
  EXPECT_EQ(FormatOrder({Order::Verb::kRequeue, kId}), "requeue 00112233445566778899aabbccddeeff\n");
  EXPECT_EQ(FormatOrder({Order::Verb::kPurge, std::nullopt}), "purge all\n");
  for (const Order& order : {Order{Order::Verb::kRequeue, kId}, Order{Order::Verb::kPurge, kId},
                             Order{Order::Verb::kPurge, std::nullopt}, Order{.verb = Order::Verb::kDropPartial},
                             Order{.verb = Order::Verb::kDropPartial, .device = *DeviceId::Parse("device-1")}}) {
    EXPECT_EQ(Must(ParseOrder(FormatOrder(order))), order);
  }
}

TEST(Order, WhatIsNoOrderIsRefused) {
  for (const std::string text : {"", "\n", "purge\n", "purge all", "requeue all\n", "delete all\n", "purge 0011\n",
                                 "purge  all\n", "purge all\npurge all\n"}) {
    EXPECT_EQ(ParseOrder(text).error().code, Code::kMalformed) << text;
  }
  EXPECT_FALSE(ParseOrder("purge " + std::string(1'000, 'a') + "\n"));
}

TEST(Order, AnswersComeBackAsTheyWereGiven) {
  EXPECT_EQ(Must(ParseAnswer(FormatAnswer("purged 3 dead letters"))), "purged 3 dead letters");
  const InboxAnswer refused = Fail(Code::kUnknownUpload, "no dead letter " + kId.hex());
  EXPECT_EQ(ParseAnswer(FormatAnswer(refused)).error().ToString(), refused.error().ToString());
  for (const char* text : {"", "ok", "ok\n", "nonsense\nwhy\n", "busy\n\n"}) {
    EXPECT_EQ(ParseAnswer(text).error().code, Code::kMalformed) << text;
  }
}

}  // namespace
}  // namespace tributary::drop_folder_test
