#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "protocol/hop/server/owner.h"

namespace tributary {

// Answers every request for a certificate at once, with what the test says.
struct FakeDesk final : EnrolmentDesk {
  void Request(const Digest&, Bytes sealed, const DeviceId&,
               std::function<void(const EnrolmentAnswer&)> answer) override {
    came.push_back(std::move(sealed));
    answer(says());
  }
  std::vector<Bytes> came;
  std::function<EnrolmentAnswer()> says = [] {
    return EnrolmentAnswer{
        EnrolmentAnswer::Kind::kPending, {}, {Code::kPending, "wait", {Millis(1'000), Millis(2'000)}}};
  };
};

}  // namespace tributary
