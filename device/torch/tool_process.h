#pragma once

#include <functional>

#include "protocol/base/file.h"

namespace tributary {

// Runs `work` in a process of its own, so that a module that crashes or attacks ends that process and nothing else.
// `work` writes its result to the file that it gets; the file stands at `out`, whole and durable, when this returns 0, and
// is not there or is as it was otherwise. An empty `out`: there is no file, and `work` gets null. Returns the exit code
// for the program; the error is printed, also that of a process that was ended (kModelRefused).
int RunInOwnProcess(const Path& out, const std::function<Status(WritableFile*)>& work);

// From here on this process can compute and write what it has open, and nothing else (EnterSandbox). Call it after
// everything was read and before the module is loaded.
Status Confine();

}  // namespace tributary
