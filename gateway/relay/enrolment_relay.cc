#include "gateway/relay/enrolment_relay.h"

#include <algorithm>
#include <utility>

namespace tributary {

EnrolmentRelay::EnrolmentRelay(HopClient& uplink, const Clock& clock, Options options)
    : uplink_(uplink), clock_(clock), options_(options) {}

EnrolmentRelay::~EnrolmentRelay() { *alive_ = false; }

void EnrolmentRelay::Request(const Digest& id, Bytes sealed_request, const DeviceId& /*via*/, Answer answer) {
  if (const EnrolmentAnswer* known = Recall(id)) return answer(*known);
  if (const auto waiting = under_way_.find(id); waiting != under_way_.end()) {
    // The oldest is the one whose connection is most likely dead.
    if (waiting->second.size() >= options_.max_waiting_each) waiting->second.erase(waiting->second.begin());
    waiting->second.push_back(std::move(answer));
    return;
  }
  if (under_way_.size() >= options_.max_under_way) {
    return answer(PutOff({Code::kBusy, "this gateway has all the requests for certificates under way that it can"}));
  }
  const Status sent = uplink_.Enrol(sealed_request, [this, alive = alive_, id](const EnrolmentAnswer& answered) {
    if (*alive) OnAnswer(id, answered);
  });
  if (!sent) {
    return answer(PutOff(
        {sent.error().code, "this gateway cannot reach the aggregator now; the request will be taken when it can"}));
  }
  under_way_[id].push_back(std::move(answer));
}

void EnrolmentRelay::OnAnswer(const Digest& id, const EnrolmentAnswer& answer) {
  auto waiting = under_way_.extract(id);
  if (waiting.empty()) return;
  const bool issued = answer.kind == EnrolmentAnswer::Kind::kIssued;
  const bool refused = answer.kind == EnrolmentAnswer::Kind::kRefused && !IsTransient(answer.refusal.code);
  if (issued || refused) Remember(id, answer);
  for (const Answer& one : waiting.mapped()) one(answer);
}

void EnrolmentRelay::Remember(const Digest& id, const EnrolmentAnswer& answer) {
  if (remembered_.size() >= options_.max_remembered) remembered_.pop_front();
  remembered_.push_back({id, answer, clock_.Monotonic() + options_.remember_for});
}

const EnrolmentAnswer* EnrolmentRelay::Recall(const Digest& id) {
  const Millis now = clock_.Monotonic();
  while (!remembered_.empty() && remembered_.front().until <= now) remembered_.pop_front();
  const auto found = std::ranges::find(remembered_, id, &Remembered::id);
  return found == remembered_.end() ? nullptr : &found->answer;
}

EnrolmentAnswer EnrolmentRelay::PutOff(const Error& why) const {
  return {EnrolmentAnswer::Kind::kPending, {}, {why.code, why.message, options_.while_away}};
}

}  // namespace tributary
