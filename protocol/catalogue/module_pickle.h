#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "protocol/base/result.h"

namespace tributary {

// The unpacked size of a tensor's record by its key; nullopt: there is no such record.
using RecordSize = std::function<std::optional<uint64_t>(std::string_view key)>;

// Follows the pickle program of a TorchScript archive (data.pkl, constants.pkl, *.debug_pkl) as LibTorch's Unpickler
// runs it (torch/csrc/jit/serialization/unpickler.cpp), on values that hold only what the check needs. LibTorch trusts
// much of what it reads: that a storage's record has the bytes that the storage is said to have, that a tensor lies
// within its storage, that a number is not taken for a class. So each of these is checked here, and every opcode and
// every class that LibTorch's own pickler does not write is refused. Bounded by the size of `program`, which the caller
// bounds.
//
// kModelRefused: names the file and the place in it.
Status CheckModulePickle(std::string_view file, std::string_view program, const RecordSize& record_size);

}  // namespace tributary
