#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "protocol/hop/server/owner.h"
#include "protocol/hop/server/sessions.h"

namespace tributary {

// Brings requests for certificates, of applicants and of members, from a hop server's sessions to the desk, and the
// answers back. The counterpart of the client's ApplicantClient and of HopClient::Enrol. All on the loop's thread.
// Everything given to the constructor must outlive it. An answer that comes after its end is dropped.
class Registrar final : public Sessions::Part {
 public:
  // `desk` is borrowed; null: requests are refused with kNotSupported.
  Registrar(Sessions& sessions, EnrolmentDesk* desk);
  ~Registrar() override;

  // Answers now or later; an applicant's session ends with the answer. An error closes the session.
  Status OnEnrol(Session& session, const hop::Enrol& enrol);

 private:
  void OnForgotten(const Session& session) override { open_.erase(session.serial); }
  // Whether a request is brought to the desk. Each member and each address has a rate of its own.
  bool MayEnrol(const Session& session, const Digest& request);
  void OnEnrolled(const Sessions::Route& route, uint64_t serial, const Digest& request, EnrolmentAnswer answer);

  Sessions& sessions_;
  EnrolmentDesk* desk_;
  std::unordered_map<uint64_t, size_t> open_;  // by session: requests that wait for their answer
  Recent<Millis> pending_;                     // requests of applicants by digest: when they may come again
  Recent<TokenBucket> members_;                // how often each asks, by its id
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
