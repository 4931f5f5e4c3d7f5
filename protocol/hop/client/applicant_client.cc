#include "protocol/hop/client/applicant_client.h"

#include <utility>

#include "protocol/trust/seal/digest.h"

namespace tributary {

ApplicantClient::ApplicantClient(const Parts& parts, Options options, Bytes sealed_request, Hooks hooks)
    : parts_(parts),
      options_(std::move(options)),
      request_(std::move(sealed_request)),
      hooks_(std::move(hooks)),
      dialer_(parts_,
              {.endpoint = options_.endpoint,
               .server_keys = {options_.server_key},
               .transport = options_.transport,
               .longest_wait = options_.retry_cap,
               .tell_refusal = true},
              *this),
      backoff_(options_.first_retry, options_.retry_cap) {}

ApplicantClient::~ApplicantClient() { parts_.loop.Cancel(patience_); }

void ApplicantClient::Stop() {
  parts_.loop.Cancel(patience_);
  dialer_.Stop();
}

void ApplicantClient::OnDialled() {
  patience_ =
      parts_.loop.After(options_.answer_timeout, [this] { dialer_.Drop(dialer_.Silence(options_.answer_timeout)); });
}

Status ApplicantClient::OnGreeted(const VerifiedIdentity&, const Bytes&) {
  dialer_.Send(hop::Enrol{request_});
  return {};
}

void ApplicantClient::OnReceived(const hop::Message& message, ByteView) {
  const auto* received = std::get_if<hop::EnrolAnswer>(&message);
  if (!received || received->request != Sha256(request_)) {
    return dialer_.Drop({Code::kMalformed, "an answer to nothing asked"});
  }
  const EnrolmentAnswer& answer = received->answer;
  const bool final = answer.kind == EnrolmentAnswer::Kind::kIssued ||
                     (answer.kind == EnrolmentAnswer::Kind::kRefused && !IsTransient(answer.refusal.code));
  if (!final) return dialer_.Drop({answer.refusal.code, answer.refusal.sentence}, answer.refusal.retry);
  Stop();
  const auto on_end = hooks_.on_end;
  on_end(answer);  // may destroy this
}

Millis ApplicantClient::OnLost(const Error& why, RetryWindow window) {
  parts_.loop.Cancel(patience_);
  // An answer says how long it may take; a link that fails is tried again ever more rarely; and an applicant that is
  // refused for good asks at the slowest pace, since somebody may mend it.
  Millis delay = backoff_.Next(parts_.random);
  if (window.max > Millis(0)) {
    delay = Backoff::Within(window, parts_.random);
    backoff_.Reset();
  } else if (!IsTransient(why.code)) {
    delay = options_.retry_cap;
  }
  if (hooks_.on_wait) hooks_.on_wait(why, delay);
  return delay;
}

}  // namespace tributary
