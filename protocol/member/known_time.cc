#include "protocol/member/known_time.h"

#include "protocol/base/log.h"

namespace tributary {

void LearnTime(TimeFloor& time, const Identity& self, const Publication& adopted) {
  const auto own = self.anchor.Verify(self.chain, time.Now());
  if (!own || adopted.created >= own->not_after) return;
  if (const Status raised = time.Raise(adopted.created); !raised)
    LogFailure(LogLevel::kWarning, "time_floor.not_kept", raised.error());
}

}  // namespace tributary
