#pragma once

#include <functional>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/hop/messages.h"

namespace tributary {

// What becomes of a request for a certificate.
struct EnrolmentAnswer {
  enum class Kind : uint8_t {
    kIssued = 1,   // `chain`, leaf first
    kPending = 2,  // an operator has to decide, or the way up is closed: ask again within refusal.retry
    kRefused = 3,  // `refusal` says why; permanent codes are final
  };
  Kind kind = Kind::kRefused;
  std::vector<Bytes> chain;
  Refusal refusal;
  bool operator==(const EnrolmentAnswer&) const = default;
};

// Where a hop server brings requests for certificates: at the aggregator they are opened and decided, at a gateway they
// are passed on (gateway/relay). Called on the loop's thread; the callback must be run there too, at most once, at any
// later time. A request is known by its digest; who asks again sends the same bytes.
class EnrolmentDesk {
 public:
  virtual ~EnrolmentDesk() = default;
  // `via`: the direct peer it came from; empty for an applicant that is connected directly.
  virtual void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
                       std::function<void(const EnrolmentAnswer&)> answer) = 0;
};

}  // namespace tributary
