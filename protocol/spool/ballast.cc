#include "protocol/spool/ballast.h"

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// Bytes that no file system makes smaller (xorshift64, Marsaglia 2003).
Bytes Incompressible(uint64_t count) {
  Bytes bytes(count);
  uint64_t state = 0x9e3779b97f4a7c15;
  for (uint8_t& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<uint8_t>(state);
  }
  return bytes;
}

}  // namespace

Status Ballast::Look() {
  const auto size = files_.Size(file_);
  if (!size && size.error().code != Code::kNotFound) return Fail(size.error());
  there_ = size && *size >= bytes_;
  return {};
}

Status Ballast::Make() {
  if (!wanted()) return {};
  RETURN_IF_ERROR(WriteFileAtomically(files_, file_, Incompressible(bytes_)));
  TRIBUTARY_FAULT_POINT("spool.ballast.written");
  there_ = true;
  return {};
}

bool Ballast::GiveUp() {
  if (!there_) return false;
  there_ = false;
  if (const Status removed = files_.Remove(file_); !removed) {
    LogFailure(LogLevel::kError, "spool.ballast_stuck", removed.error());
    return false;
  }
  TRIBUTARY_FAULT_POINT("spool.ballast.removed");
  LogWarning("spool.ballast_given_up", {{"bytes", bytes_}});
  return true;
}

}  // namespace tributary
