#include "protocol/hop/server/registrar.h"

#include <utility>

#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr size_t kEnrolling = 32'768;

EnrolmentAnswer Refused(Code code, std::string sentence, RetryWindow window = {}) {
  return {EnrolmentAnswer::Kind::kRefused, {}, {code, std::move(sentence), window}};
}

}  // namespace

Registrar::Registrar(Sessions& sessions, EnrolmentDesk* desk)
    : sessions_(sessions), desk_(desk), pending_(sessions.options().remembered_applicants), members_(kEnrolling) {
  sessions_.AddPart(*this);
}

Registrar::~Registrar() { *alive_ = false; }

Status Registrar::OnEnrol(Session& session, const hop::Enrol& enrol) {
  if (session.carrier) return Fail(Code::kWrongRole, "a tool of this server has no certificate to ask for");
  const HopServerOptions& options = sessions_.options();
  const Digest id = Sha256(enrol.request);
  const size_t allowed = session.proven ? options.max_session_enrolments : 1;
  size_t& open = open_[session.serial];
  if (open >= allowed && !session.proven) return Fail(Code::kMalformed, "a second request");
  ++open;
  if (!session.proven) {
    session.patience = options.enrolment_timeout;
    // Its session ends before its connection does, so that it is told why.
    sessions_.socket().Allow(session.route, 2 * options.enrolment_timeout);
  }
  const auto answer = [this, alive = alive_, route = session.route, serial = session.serial,
                       id](const EnrolmentAnswer& answered) {
    if (*alive) OnEnrolled(route, serial, id, answered);
  };
  if (!desk_) {
    answer(Refused(Code::kNotSupported, "this server takes no requests for certificates; ask another gateway"));
  } else if (open > allowed) {
    answer(Refused(Code::kBusy, fmt::format("this connection has {} requests under way", allowed),
                   WindowFor(Code::kBusy)));
  } else if (!MayEnrol(session, id)) {
    answer(Refused(Code::kTooFast,
                   fmt::format("this {} asks for more certificates than this server passes on",
                               session.proven ? "member" : "address"),
                   options.enrolment_later));
  } else {
    desk_->Request(id, enrol.request, session.proven ? session.member.subject.id : DeviceId(), answer);
  }
  return {};
}

bool Registrar::MayEnrol(const Session& session, const Digest& request) {
  if (session.proven) {
    const Subject& subject = session.member.subject;
    const HopServerOptions& options = sessions_.options();
    const Rate& rate = subject.role == Role::kGateway ? options.gateway_enrolments : options.member_enrolments;
    const Millis now = sessions_.clock().Monotonic();
    return members_.FindOrMake(subject.id.text(), TokenBucket(rate, now)).Take(rate, now);
  }
  const std::string name(AsText(request.view()));
  const Millis* again = pending_.Find(name);
  if (!again || sessions_.clock().Monotonic() < *again) return sessions_.socket().MayEnrol(session.route);
  pending_.Erase(name);  // the next answer says whether it may come once more
  return true;
}

void Registrar::OnEnrolled(const Sessions::Route& route, uint64_t serial, const Digest& request,
                           EnrolmentAnswer answer) {
  const Session* session = sessions_.Find(route, serial);
  if (!session) return;
  --open_[serial];
  const Refusal& refusal = answer.refusal;
  const bool waits = answer.kind != EnrolmentAnswer::Kind::kIssued;
  if (answer.kind == EnrolmentAnswer::Kind::kRefused) ++sessions_.counts().refused[refusal.code];
  if (waits && IsTransient(refusal.code) && refusal.retry == RetryWindow{}) {
    answer.refusal.retry = WindowFor(refusal.code);
  }
  const bool proven = session->proven;
  // Only a request with a good token is pending; an applicant that is put off for another reason has shown nothing.
  if (!proven && answer.kind == EnrolmentAnswer::Kind::kPending && refusal.code == Code::kPending) {
    pending_.FindOrMake(std::string(AsText(request.view())), {}) = sessions_.clock().Monotonic() + refusal.retry.min;
  }
  sessions_.Send(route, hop::EnrolAnswer{request, std::move(answer)});
  // An applicant has no more to say; it asks again on a new connection.
  if (!proven) sessions_.Forget(route);
}

}  // namespace tributary
