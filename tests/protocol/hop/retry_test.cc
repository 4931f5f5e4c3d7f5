#include <gtest/gtest.h>

#include "protocol/hop/client/applicant_client.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/hop/hop_fixture.h"

// No server puts a client to sleep: what it asks for is cut to the client's own longest pause.
namespace tributary::hop_retry_test {
namespace {

constexpr Millis kForEver{UINT32_MAX};  // 49.7 days
const Refusal kLater{Code::kBusy, "later", {kForEver, kForEver}};

class RetryTest : public ::testing::Test {
 protected:
  HopClient::Options Address() const {
    HopClient::Options options;
    options.endpoint = server_.endpoint();
    options.server_key = gateway_.subject.curve_public_key;
    return options;
  }
  // Answers each message of this type so, and counts them.
  template <class T>
  void AnswerEach(const hop::Message& with) {
    server_.answer = [this, with](const hop::Message& said) -> std::optional<hop::Message> {
      if (!std::holds_alternative<T>(said)) return std::nullopt;
      ++came_;
      return with;
    };
  }
  // Whether it comes again within the client's own cap, and some.
  bool ComesAgain(int times, Millis cap = HopClient::Options().retry_cap) {
    const int turns = static_cast<int>(times * (2 * cap / Millis(100))) + 100;
    return world_.RunUntilWithTime([&] { return came_ >= times; }, Millis(100), turns);
  }

  HopWorld world_;
  Identity gateway_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  FakeServer server_{world_, gateway_, {}};
  int came_ = 0;
};

TEST_F(RetryTest, AMemberThatIsPutOffForEverComesBackAtItsOwnPace) {
  AnswerEach<hop::Hello>(hop::Refused{kLater});
  TestSender sender(world_, device_, world_.folder / "spool", Address());
  sender.client().Start();
  EXPECT_TRUE(ComesAgain(3));
}

TEST_F(RetryTest, AnUploadThatIsPutOffForEverIsOfferedAgain) {
  const SealedUpload upload = MakeSealed(world_, device_, 1'000);
  AnswerEach<hop::Offer>(hop::Refuse{upload.header.subject.id, kLater});
  TestSender sender(world_, device_, world_.folder / "spool", Address());
  sender.Put(upload);
  sender.client().Start();
  EXPECT_TRUE(ComesAgain(2, Courier::Options().retry_cap));
}

TEST_F(RetryTest, AnApplicantThatIsPutOffForEverAsksAgain) {
  const Bytes request(100, 7);
  AnswerEach<hop::Enrol>(hop::EnrolAnswer{
      Sha256(request), {EnrolmentAnswer::Kind::kPending, {}, {Code::kPending, "wait", {kForEver, kForEver}}}});
  ApplicantClient::Options options;
  options.endpoint = server_.endpoint();
  options.server_key = gateway_.subject.curve_public_key;
  ApplicantClient client({world_.loop, world_.clock, world_.random, world_.fleet.anchor()}, options, request,
                         {.on_end = [](const EnrolmentAnswer&) {}, .on_wait = {}});
  client.Start();
  EXPECT_TRUE(ComesAgain(2));
}

TEST_F(RetryTest, NoAnswerCarriesALongerWaitThanTheClientsOwn) {
  const Millis most(5'000);
  for (hop::Message message : {hop::Message(hop::Refused{kLater}), hop::Message(hop::Refuse{{}, kLater}),
                               hop::Message(hop::FetchRefused{{}, kLater}),
                               hop::Message(hop::EnrolAnswer{{}, {EnrolmentAnswer::Kind::kPending, {}, kLater}})}) {
    hop::CapRetry(message, most);
    const Refusal refusal = std::visit(
        [](const auto& one) -> Refusal {
          if constexpr (requires { one.refusal; }) return one.refusal;
          if constexpr (requires { one.answer; }) return one.answer.refusal;
          return {};
        },
        message);
    EXPECT_EQ(refusal.code, Code::kBusy);
    EXPECT_EQ(refusal.retry, (RetryWindow{most, most})) << message.index();
  }
}

TEST_F(RetryTest, CreditWithoutEndIsNoLessThanMuchCredit) {
  SendingWindow window(4, limits::kMiB);
  for (int i = 0; i < 5; ++i) window.AddCredit(UINT64_MAX);
  EXPECT_TRUE(window.HasCredit(limits::kMaxChunkBytes));
}

}  // namespace
}  // namespace tributary::hop_retry_test
