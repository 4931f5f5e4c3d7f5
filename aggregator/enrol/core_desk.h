#pragma once

#include "aggregator/enrol/enrolment.h"
#include "protocol/base/executor.h"
#include "protocol/hop/server/owner.h"

namespace tributary {

// Carries requests for certificates from the loop's thread to the core's, where they are decided, and the answers back.
// Everything it borrows must outlive it, and the core's thread must have ended before it goes.
class CoreDesk final : public EnrolmentDesk {
 public:
  CoreDesk(Enrolment& enrolment, Executor& core, Executor& loop) : enrolment_(enrolment), core_(core), loop_(loop) {}

  void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
               std::function<void(const EnrolmentAnswer&)> answer) override;

 private:
  Enrolment& enrolment_;
  Executor& core_;
  Executor& loop_;
  size_t waiting_ = 0;  // on the loop's thread
};

}  // namespace tributary
