#pragma once

#include <functional>
#include <memory>

#include "protocol/envelope/seal_upload.h"
#include "protocol/spool/spool.h"

namespace tributary {

// Puts a sealed upload into the device's spool, whole. `done` is called once, on the loop, when it is on disk or was
// there before (a restart sealed the same contribution again). Errors: the spool's. Call it on the loop. `alive` turns
// false when the spool goes; from then on nothing is called and the spool is not touched.
void PutIntoOutbox(Spool& spool, Executor& loop, std::shared_ptr<const bool> alive,
                   std::shared_ptr<const SealedUpload> upload, std::function<void(Status)> done);

}  // namespace tributary
