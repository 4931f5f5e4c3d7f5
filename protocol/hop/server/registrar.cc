#include <utility>

#include "protocol/hop/server/server.h"
#include "protocol/hop/server/sessions.h"
#include "protocol/trust/seal/digest.h"

// Requests for certificates, of applicants and of members: brought to the desk and answered.
namespace tributary {
namespace {

EnrolmentAnswer Refused(Code code, std::string sentence, RetryWindow window = {}) {
  return {EnrolmentAnswer::Kind::kRefused, {}, {code, std::move(sentence), window}};
}

}  // namespace

Status HopServer::OnEnrol(Session& session, const hop::Enrol& enrol) {
  if (session.carrier) return Fail(Code::kWrongRole, "a tool of this server has no certificate to ask for");
  const Digest id = Sha256(enrol.request);
  const size_t allowed = session.proven ? options_.max_session_enrolments : 1;
  if (session.enrolments >= allowed && !session.proven) return Fail(Code::kMalformed, "a second request");
  ++session.enrolments;
  // Its session ends before its connection does, so that it is told why.
  if (!session.proven) socket_->Allow(session.route, 2 * options_.enrolment_timeout);
  const auto answer = [this, alive = alive_, route = session.route, serial = session.serial,
                       id](const EnrolmentAnswer& answered) {
    if (*alive) OnEnrolled(route, serial, id, answered);
  };
  if (!parts_.desk) {
    answer(Refused(Code::kNotSupported, "this server takes no requests for certificates; ask another gateway"));
  } else if (session.enrolments > allowed) {
    answer(Refused(Code::kBusy, "this connection has " + std::to_string(allowed) + " requests under way",
                   WindowFor(Code::kBusy)));
  } else if (!session.proven && !MayEnrol(session, id)) {
    answer(Refused(Code::kTooFast, "more certificates are asked for from this address than this server passes on",
                   options_.enrolment_later));
  } else {
    parts_.desk->Request(id, enrol.request, session.proven ? session.member.subject.id : DeviceId(), answer);
  }
  return {};
}

bool HopServer::MayEnrol(const Session& session, const Digest& request) {
  const std::string name(AsText(request.view()));
  const Millis* again = pending_.Find(name);
  if (!again || parts_.clock.Monotonic() < *again) return socket_->MayEnrol(session.route);
  pending_.Erase(name);  // the next answer says whether it may come once more
  return true;
}

void HopServer::OnEnrolled(const Route& route, uint64_t serial, const Digest& request, EnrolmentAnswer answer) {
  Session* session = Find(route, serial);
  if (!session) return;
  --session->enrolments;
  const bool waits = answer.kind != EnrolmentAnswer::Kind::kIssued;
  if (waits && answer.kind == EnrolmentAnswer::Kind::kRefused) ++counts_.refused[answer.refusal.code];
  if (waits && IsTransient(answer.refusal.code) && answer.refusal.retry == RetryWindow{}) {
    answer.refusal.retry = WindowFor(answer.refusal.code);
  }
  const bool proven = session->proven;
  // Only a request with a good token is pending; who is put off for another reason has shown nothing.
  if (!proven && answer.kind == EnrolmentAnswer::Kind::kPending && answer.refusal.code == Code::kPending) {
    pending_.FindOrMake(std::string(AsText(request.view())), {}) = parts_.clock.Monotonic() + answer.refusal.retry.min;
  }
  Send(route, hop::EnrolAnswer{request, std::move(answer)});
  // An applicant has no more to say; it asks again on a new connection.
  if (!proven) Forget(route);
}

}  // namespace tributary
