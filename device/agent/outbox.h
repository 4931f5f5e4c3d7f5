#pragma once

#include <functional>
#include <memory>

#include "protocol/envelope/seal_upload.h"
#include "protocol/spool/spool.h"

namespace tributary {

// Puts a sealed upload into the device's spool, whole. `done` is called once, on the spool's worker, when it is on disk or was
// there before (a restart sealed the same contribution again). Errors: the spool's.
void PutIntoOutbox(Spool& spool, std::shared_ptr<const SealedUpload> upload, std::function<void(Status)> done);

}  // namespace tributary
