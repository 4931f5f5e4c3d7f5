#pragma once

#include "protocol/base/result.h"

namespace tributary {

// From the call on this process can compute, use memory, and read and write what it has open, and nothing else: no
// file is opened (the call fails, so that a library that only looks goes on), and whoever asks for a socket, another
// process, a thread or another program ends the process (SIGSYS). Cannot be undone, and holds for every thread. Start
// LibTorch first (WarmUpTorch): it reads files while it starts. kNotSupported: the kernel has no seccomp.
Status EnterSandbox();

// Makes LibTorch and OpenBLAS do all that they do once in a process.
void WarmUpTorch();

}  // namespace tributary
