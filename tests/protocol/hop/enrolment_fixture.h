#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/hop/client/applicant_client.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/hop/hop_fixture.h"

// An aggregator with a desk, and applicants; for the tests of requests for certificates on a hop and at a gateway.
namespace tributary::hop_enrolment_test {

using Kind = EnrolmentAnswer::Kind;

inline const Bytes kRequest = ToBytes(AsBytes("a sealed request"));

inline EnrolmentAnswer Issued(const Identity& identity) { return {Kind::kIssued, identity.chain, {}}; }
inline EnrolmentAnswer Pending(RetryWindow window = {Millis(1'000), Millis(2'000)}) {
  return {Kind::kPending, {}, {Code::kPending, "an operator will look at it", window}};
}
inline EnrolmentAnswer RefusedFor(Code code) { return {Kind::kRefused, {}, {code, "no", {}}}; }

// Answers what the test says, at once or when it is told to.
struct HeldDesk final : EnrolmentDesk {
  void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
               std::function<void(const EnrolmentAnswer&)> answer) override {
    EXPECT_EQ(id, Sha256(sealed_request));
    came.emplace_back(std::move(sealed_request), via);
    if (hold) return held.push_back(std::move(answer));
    answer(says);
  }
  void Release(const EnrolmentAnswer& with) {
    for (auto& one : std::exchange(held, {})) one(with);
  }
  EnrolmentAnswer says = Pending();
  bool hold = false;
  std::vector<std::pair<Bytes, DeviceId>> came;
  std::vector<std::function<void(const EnrolmentAnswer&)>> held;
};

class HopEnrolmentTest : public ::testing::Test {
 protected:
  HopEnrolmentTest() {
    server_.Stop();
    server_.desk = &desk_;
    server_.Start();
  }
  std::unique_ptr<ApplicantClient> Applicant(const TestServer& server, const TrustAnchor& anchor) {
    ApplicantClient::Options options;
    options.endpoint = server.endpoint();
    options.server_key = server.identity().subject.curve_public_key;
    return std::make_unique<ApplicantClient>(
        ApplicantClient::Parts{world_.loop, world_.clock, world_.random, anchor}, options, kRequest,
        ApplicantClient::Hooks{[this](const EnrolmentAnswer& answer) { ended_.push_back(answer); },
                               [this](const Error& why, Millis) { waits_.push_back(why.code); }});
  }

  HopWorld world_;
  HeldDesk desk_;
  TestServer server_{world_, Role::kAggregator, "aggregator"};
  Identity issued_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::vector<EnrolmentAnswer> ended_;
  std::vector<Code> waits_;
};

}  // namespace tributary::hop_enrolment_test
