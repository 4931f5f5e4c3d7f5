#pragma once

#include <functional>

#include "aggregator/enrol/decisions.h"
#include "aggregator/enrol/member_registrar.h"
#include "aggregator/enrol/sealing_keys.h"
#include "protocol/base/executor.h"
#include "protocol/hop/server/owner.h"

namespace tributary {

// Where applicants and members ask for certificates: opens their requests, gathers what is known, has it decided
// (decisions.h) and kept, and answers. An answer goes out after what it says is durable: an applicant that hears
// nothing asks again and gets the same. The registrar and everything in the parts must outlive it. On the core thread.
class ApplicantDesk {
 public:
  ApplicantDesk(MemberRegistrar& registrar, const EnrolmentParts& parts)
      : registrar_(registrar), parts_(parts), bucket_(parts.options.new_requests, parts.clock.Monotonic()) {}

  // Opens, checks and answers one sealed request. Idempotent: the same request gets the same answer.
  EnrolmentAnswer Decide(const Digest& id, const Bytes& sealed_request);

 private:
  Result<EnrolmentAnswer> AnswerTo(const Digest& id, const Bytes& sealed_request);
  Result<EnrolmentAnswer> AnswerNew(const Digest& id, const Bytes& sealed_request);
  Result<OpenedEnrolment> Open(const Bytes& sealed_request) const;
  Result<EnrolmentAnswer> Enrol(const Digest& id, const CertificateRequest& wanted, const SecretBytes& secret);
  // The id belongs to another key. An operator may give it to this one.
  Result<EnrolmentAnswer> Claim(const DeviceId& id, const CertificateRequest& wanted,
                                const EnrolmentTokenRecord& terms);
  Result<EnrolmentAnswer> Renew(const Digest& id, const OpenedEnrolment& opened, const Renewal& renewal);
  // `token` is the one that the decision uses, if it uses one.
  Result<EnrolmentAnswer> CarryOut(const Digest& id, Decision decision, const std::string& token);

  MemberRegistrar& registrar_;
  EnrolmentParts parts_;
  TokenBucket bucket_;
};

// Carries requests for certificates from the loop's thread to the core's, where they are decided, and the answers back.
// Everything it borrows must outlive it, and the core's thread must have ended before it goes.
class CoreDesk final : public EnrolmentDesk {
 public:
  CoreDesk(ApplicantDesk& desk, Executor& core, Executor& loop) : desk_(desk), core_(core), loop_(loop) {}

  void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
               std::function<void(const EnrolmentAnswer&)> answer) override;

 private:
  ApplicantDesk& desk_;
  Executor& core_;
  Executor& loop_;
  size_t waiting_ = 0;  // on the loop's thread
};

}  // namespace tributary
