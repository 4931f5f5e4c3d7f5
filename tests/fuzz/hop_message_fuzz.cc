#include "protocol/hop/messages.h"
#include "tests/fuzz/fuzz_target.h"

// A message that decodes says the same when it is encoded and decoded again.
TRIBUTARY_FUZZ_TARGET(hop_message) {
  using namespace tributary;
  const auto message = hop::Decode({data, size});
  if (!message) return 0;
  const auto again = hop::Decode(hop::Encode(*message));
  TRIBUTARY_CHECK(again && *again == *message) << "message " << message->index();
  return 0;
}
