#pragma once

#include <functional>
#include <vector>

#include "aggregator/intake/takers.h"
#include "aggregator/store/disk_health.h"
#include "aggregator/watch/fleet_book.h"

namespace tributary {

// The surroundings of a taker of small uploads. Such an upload is kept, and its custody given, in one step.
struct TakerParts {
  Store& store;
  const Clock& clock;
  DiskHealth& health;
  FleetBook& fleet;
  EventLine& events;
  FindOpeningKey opening_key;
  // These uploads are counted for good: the senders may delete them.
  std::function<void(const std::vector<UploadId>&)> custody;
};

// Opens a payload of at most limits::kRecordBytes, whole. Errors: those of UploadOpener, kUnknownCodec (no record),
// kTooLarge, and what `chunk` gives.
Result<Bytes> OpenSmallUpload(const UploadHeader& header, const HpkeKeyPair& key, const ChunkSource& chunk);

// Keeps the newest state of each device, and says what began to fail and what works again. Rounds look at who fails
// (round/outlook.h); all else is for people. Borrows what Parts names; the core
// thread.
class DeviceStateTaker final : public Taker {
 public:
  explicit DeviceStateTaker(const TakerParts& parts) : parts_(parts) {}

  Verdict Admit(const UploadHeader& header) override;
  Verdict Take(const UploadHeader& header, Role role, const ChunkSource& chunk) override;

 private:
  Status Keep(const DeviceStateRecord& record, bool newest);
  void SayChanges(const DeviceStateRecord& record);
  TakerParts parts_;
};

}  // namespace tributary
