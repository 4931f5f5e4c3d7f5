#pragma once

#include <functional>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/hop/messages.h"

namespace tributary {

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
