#include "aggregator/records/enrolment_records.h"

#include "protocol/base/result.h"

namespace tributary {

std::string_view EnrolmentStateName(EnrolmentState state) {
  switch (state) {
    case EnrolmentState::kPending:
      return "pending";
    case EnrolmentState::kRefused:
      return "refused";
    case EnrolmentState::kActive:
      return "active";
    case EnrolmentState::kRevoked:
      return "revoked";
  }
  TRIBUTARY_CHECK(false) << "enrolment state " << static_cast<int>(state);
  return {};
}

}  // namespace tributary
