#include "aggregator/enrol/core_desk.h"

namespace tributary {
namespace {

// Requests that wait for the core's thread: at 32 KiB each at most 8 MiB, and no more than half a second of its time.
constexpr size_t kMostWaiting = 256;

EnrolmentAnswer ComeBackLater() {
  EnrolmentAnswer answer;
  answer.refusal = {Code::kTooFast,
                    "more members ask for certificates than this aggregator decides at a time",
                    {Millis(5'000), Millis(15'000)}};
  return answer;
}

}  // namespace

void CoreDesk::Request(const Digest& id, Bytes sealed_request, const DeviceId&,
                       std::function<void(const EnrolmentAnswer&)> answer) {
  if (waiting_ >= kMostWaiting) return answer(ComeBackLater());
  ++waiting_;
  core_.Post([this, id, request = std::move(sealed_request), answer = std::move(answer)] {
    loop_.Post([this, answer, decided = enrolment_.Decide(id, request)] {
      --waiting_;
      answer(decided);
    });
  });
}

}  // namespace tributary
