#include "protocol/hop/client/applicant_client.h"

#include "protocol/hop/handshake.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

ApplicantClient::ApplicantClient(const Parts& parts, Options options, Bytes sealed_request, Hooks hooks)
    : parts_(parts),
      options_(std::move(options)),
      request_(std::move(sealed_request)),
      hooks_(std::move(hooks)),
      backoff_(options_.first_retry, options_.retry_cap) {}

ApplicantClient::~ApplicantClient() {
  *alive_ = false;
  parts_.loop.Cancel(timer_);
}

void ApplicantClient::Start() {
  if (state_ == State::kStopped) Connect();
}

void ApplicantClient::Stop() {
  state_ = State::kStopped;
  parts_.loop.Cancel(timer_);
  DropSocket();
}

void ApplicantClient::Connect() {
  ++attempt_;
  state_ = State::kGreeting;
  socket_.reset();
  const CurveKeyPair key = GenerateCurveKeyPair();
  auto socket =
      ClientSocket::Connect(parts_.loop, options_.endpoint, options_.server_key, key.secret, options_.transport, *this);
  if (!socket) return Wait(socket.error());
  socket_ = std::move(*socket);
  timer_ = parts_.loop.After(options_.answer_timeout, [this] {
    Wait({Code::kUnreachable,
          "no answer from " + options_.endpoint + " for " + std::to_string(options_.answer_timeout.count()) + " ms"});
  });
  Send(hop::Greeting(parts_.random));
}

void ApplicantClient::Send(const hop::Message& message) {
  const Status sent = socket_->Send(hop::Encode(message));
  if (!sent) Wait(sent.error());
}

void ApplicantClient::OnMessage(ByteView bytes, ByteView) {
  if (state_ == State::kStopped || state_ == State::kWaiting) return;
  const auto message = hop::Decode(bytes);
  if (!message) return Wait(message.error());
  if (const auto* refused = std::get_if<hop::Refused>(&*message)) {
    return Wait({refused->refusal.code, "the server refused: " + refused->refusal.sentence}, refused->refusal.retry);
  }
  if (state_ == State::kGreeting) {
    if (const Status greeted = OnGreeted(*message); !greeted) Wait(greeted.error());
    return;
  }
  const auto* answer = std::get_if<hop::EnrolAnswer>(&*message);
  if (!answer || answer->request != Sha256(request_)) return Wait({Code::kMalformed, "an answer to nothing asked"});
  OnAnswer(answer->answer);
}

Status ApplicantClient::OnGreeted(const hop::Message& message) {
  const auto* challenge = std::get_if<hop::Challenge>(&message);
  if (!challenge) return Fail(Code::kMalformed, "no challenge after hello");
  RETURN_IF_ERROR(hop::CheckChallenge({}, *challenge));
  RETURN_IF_ERROR(hop::VerifyServer(parts_.anchor, challenge->chain, options_.server_key, parts_.clock.Now()));
  state_ = State::kAsking;
  Send(hop::Enrol{request_});
  return {};
}

void ApplicantClient::OnAnswer(const EnrolmentAnswer& answer) {
  const bool final = answer.kind == EnrolmentAnswer::Kind::kIssued ||
                     (answer.kind == EnrolmentAnswer::Kind::kRefused && !IsTransient(answer.refusal.code));
  if (!final) return Wait({answer.refusal.code, answer.refusal.sentence}, answer.refusal.retry);
  Stop();
  const auto on_end = hooks_.on_end;
  on_end(answer);  // may destroy this
}

void ApplicantClient::OnDisconnected() {
  if (state_ == State::kStopped || state_ == State::kWaiting) return;
  Wait({Code::kUnreachable, "the connection to " + options_.endpoint + " broke"});
}

void ApplicantClient::Wait(const Error& why, RetryWindow window) {
  if (state_ == State::kStopped || state_ == State::kWaiting) return;
  state_ = State::kWaiting;
  parts_.loop.Cancel(timer_);
  DropSocket();
  // An answer says how long it may take; a link that fails is tried again ever more rarely; and what is refused for
  // good at the slowest pace, since somebody may mend it.
  Millis delay = backoff_.Next(parts_.random);
  if (window.max > Millis(0)) {
    delay = Backoff::Within(window, parts_.random);
    backoff_.Reset();
  } else if (!IsTransient(why.code)) {
    delay = options_.retry_cap;
  }
  timer_ = parts_.loop.After(delay, [this] { Connect(); });
  if (hooks_.on_wait) hooks_.on_wait(why, delay);
}

void ApplicantClient::DropSocket() {
  parts_.loop.Post([this, alive = alive_, attempt = attempt_] {
    const bool over = *alive && attempt == attempt_ && (state_ == State::kWaiting || state_ == State::kStopped);
    if (over) socket_.reset();
  });
}

}  // namespace tributary
