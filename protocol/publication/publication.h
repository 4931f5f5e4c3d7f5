#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/publication/tensor_table.h"
#include "protocol/publication/training_plan.h"
#include "protocol/seal/certificate.h"
#include "protocol/seal/hpke.h"

namespace tributary {

// A blob that can be fetched by its digest.
struct BlobRef {
  Digest digest;
  uint64_t size = 0;
  bool operator==(const BlobRef&) const = default;
};

// The round that collects updates on a task's latest version. A device is in when H(nonce, device) < inclusion.
struct RoundAnnouncement {
  uint64_t number = 0;
  std::array<uint8_t, 16> nonce{};
  double inclusion = 1.0;  // probability, (0, 1]
  WallTime deadline;
  bool operator==(const RoundAnnouncement&) const = default;
};

// One task as devices need to know it.
struct PublishedTask {
  TaskId id;
  TensorTable table;
  BlobRef module;  // TorchScript bytes
  TrainingPlan plan;
  ModelVersion latest{};                   // the version a device should hold
  BlobRef weights;                         // float32 values of `latest`
  std::vector<ModelVersion> accepted;      // base versions whose updates are still taken in
  std::optional<RoundAnnouncement> round;  // absent: nothing to train now
  double value_bound = 0;                  // largest magnitude of a single value of an update
  double norm_bound = 0;                   // largest Euclidean norm of an update
  bool operator==(const PublishedTask&) const = default;
};

// A sealing key that was replaced: what was sealed to it is still opened until its end, and then is worth nothing to
// anybody; whoever holds such an upload drops it then, and its author seals it anew.
struct FormerSealingKey {
  KeyId id;
  WallTime until;
  bool operator==(const FormerSealingKey&) const = default;
};

// The catalogue that travels down: numbered, signed, the same bytes for everybody.
struct Publication {
  uint64_t number = 0;  // grows by one with every publication
  WallTime created;
  WallTime expires;  // a device installs nothing from an expired publication
  HpkeAead aead = kDefaultAead;
  Bytes sealing_key;  // the aggregator's HPKE public key, 32 bytes
  std::vector<FormerSealingKey> former_keys = {};
  std::string revocations = {};  // PEM (protocol/seal/revocation_list.h); empty: nobody was revoked yet
  std::vector<PublishedTask> tasks = {};
  bool operator==(const Publication&) const = default;
};

// Signs and encodes: SignedPublication of schema/publication.capnp. `chain` is the publisher's, leaf first.
Bytes SignPublication(const Publication& publication, const SigningKey& key, std::span<const Bytes> chain);

// Verifies signature, chain (role publisher), form and bounds at `now`. Does not compare with an earlier publication:
// see PublicationStore. Errors: kMalformed, kTooLarge, kBadSignature, kWrongRole, those of TrustAnchor::Verify,
// kExpired.
Result<Publication> OpenPublication(ByteView signed_bytes, const TrustAnchor& anchor, WallTime now);

// Whether the device is in the round: the first 8 bytes of SHA-256(nonce || device id), little endian, as a fraction of
// 2^64, < inclusion.
bool IsSelected(const RoundAnnouncement& round, const DeviceId& device);

}  // namespace tributary
