#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

// A device's description of itself (schema/envelope.capnp, DeviceState, has the prose). Value type.
struct DeviceState {
  struct Installed {
    ModelVersion version{};  // 1 or more
    Digest weights;
    bool operator==(const Installed&) const = default;
  };
  // Publications that were not believed, of one reason.
  struct Rejections {
    uint64_t count = 0;
    std::string last_sentence;
    WallTime last;
    bool operator==(const Rejections&) const = default;
  };
  // Why a device cannot do its part of a task: the last failure of its work, until a later piece of work succeeds.
  struct Failure {
    Code code = Code::kMalformed;
    std::string sentence;
    uint64_t count = 0;      // of the work on this version; 1 or more
    ModelVersion version{};  // 1 or more
    WallTime last;
    bool lasting = false;  // nothing will come of this version by itself; false: the device tries again soon
    bool operator==(const Failure&) const = default;
  };

  uint64_t sequence = 0;  // from 1
  uint64_t boots = 0;
  uint64_t root_version = 0;
  uint64_t publication_number = 0;
  WallTime time_floor;
  std::string withheld;  // empty: nothing stands in the way of installing what is published
  std::map<TaskId, Installed> installed;
  std::map<std::string, uint64_t> counters;  // names as in ids.h
  std::map<Code, Rejections> rejections;
  std::map<TaskId, Failure> failures;
  bool operator==(const DeviceState&) const = default;
};

// The plaintext of an upload of kind device state, codec kRecord. Sentences are cut to limits::kSentenceBytes, and a
// character in them that is not printable ASCII becomes '?'. A list over its limit is cut at its end.
Bytes EncodeDeviceState(const DeviceState& state);

// kMalformed: form, order, names, numbers that mean nothing, sentences that are not printable ASCII. kTooLarge: over
// limits::kRecordBytes or a count over its limit. A rejection or failure whose code this build does not know is left
// out.
Result<DeviceState> DecodeDeviceState(ByteView bytes);

// Device states travel on several ways, so one may come late.
enum class DeviceStateOrder {
  kNext,  // made after the kept one: it takes its place
  kLate,  // made before it: nothing new
};
// Where `came` stands beside `kept`, the newest state of the same device. kReportRolledBack: they cannot be two states
// of one device, because something that only grows is less in the later one; the message names it.
Result<DeviceStateOrder> OrderOf(const DeviceState& kept, const DeviceState& came);

}  // namespace tributary
