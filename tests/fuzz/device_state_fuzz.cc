#include "protocol/base/limits.h"
#include "protocol/payload/device_state.h"
#include "tests/fuzz/fuzz_target.h"

TRIBUTARY_FUZZ_TARGET(device_state) {
  using namespace tributary;
  const auto state = DecodeDeviceState({data, size});
  if (!state) return 0;
  TRIBUTARY_CHECK(state->failures.size() <= limits::kDeviceStateFailures) << state->failures.size();
  for (const auto& [task, failure] : state->failures)
    TRIBUTARY_CHECK(failure.count > 0 && failure.sentence.size() <= limits::kSentenceBytes) << task.text();
  // A state that came in is kept as it would be written here.
  const auto again = DecodeDeviceState(EncodeDeviceState(*state));
  TRIBUTARY_CHECK(again && *again == *state) << "another state";
  return 0;
}
