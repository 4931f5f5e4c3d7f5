#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {

// A blob that can be fetched by its digest.
struct BlobRef {
  Digest digest;
  uint64_t size = 0;
  bool operator==(const BlobRef&) const = default;
};

// Devices are asked again for a version: what they gave for it may be lost. By AskedName.
struct AskAgain {
  uint32_t times = 0;                  // how often so far
  std::vector<uint64_t> asked = {};    // empty: everybody
  std::vector<uint64_t> counted = {};  // not these, whose contributions count
  bool operator==(const AskAgain&) const = default;
};

// How a version travels down: as it is; or rounded to float16; or to an 8-bit difference from the version before
// (protocol/payload/version_codec.h).
enum class VersionCodec : uint8_t { kFloat32 = 0, kFloat16 = 1, kBlock8 = 2 };
constexpr bool IsOneOf(VersionCodec codec) { return codec <= VersionCodec::kBlock8; }

// A version's weights in fewer bytes.
struct CompactWeights {
  VersionCodec codec = VersionCodec::kFloat16;  // not kFloat32
  Digest base;                                  // kBlock8: of the float32 weights that it is a difference from
  BlobRef blob;
  bool operator==(const CompactWeights&) const = default;
};

// The round that collects updates on a task's latest version. A device is in when H(nonce, device) < inclusion.
struct RoundAnnouncement {
  uint64_t number = 0;
  std::array<uint8_t, 16> nonce{};
  double inclusion = 1.0;  // probability, (0, 1]
  WallTime deadline;
  double linear_step = 0;  // of the plan's linear codec, a power of two; 0: it has another
  AskAgain again = {};
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
  TaskManifest manifest = ManifestOfImages();  // what the module takes and gives
  std::optional<CompactWeights> compact = {};  // of `latest`
  bool operator==(const PublishedTask&) const = default;
};

// A sealing key that was replaced: what was sealed to it is still opened until its end, and then is worth nothing to
// anybody; whoever holds such an upload drops it then, and its author seals it anew.
struct FormerSealingKey {
  KeyId id;
  WallTime until;
  bool operator==(const FormerSealingKey&) const = default;
};

// The catalogue that travels down, the same for everybody, and what the metadata around it says of it
// (publication_set.h).
struct Publication {
  uint64_t number = 0;        // the timestamp's version: grows by one with every publication
  uint64_t root_version = 0;  // of the keys it was verified by; newer is (root_version, number)
  WallTime created;
  WallTime expires;  // the first of its metadata to end; a device installs nothing from an expired publication
  HpkeAead aead = kDefaultAead;
  Bytes sealing_key;  // the aggregator's HPKE public key, 32 bytes
  std::vector<FormerSealingKey> former_keys = {};
  std::string revocations = {};  // PEM (protocol/trust/identity/revocation_list.h); empty: nobody was revoked yet
  std::vector<PublishedTask> tasks = {};
  bool operator==(const Publication&) const = default;
};

// By root version, then by number: so a fleet that had to change its keys begins again below a number that a thief
// drove up.
inline bool IsNewer(const Publication& one, const Publication& than) {
  return std::tie(one.root_version, one.number) > std::tie(than.root_version, than.number);
}

// Verifies one at `now` from the anchor's root metadata, with the whole client workflow of the TUF specification
// (trusted_metadata.h), and then that every blob it names is a target that was signed. Does not compare with an earlier
// publication: see PublicationStore. Errors: kMissingData (the anchor has no root metadata), kMalformed, kTooLarge,
// kVersionUnsupported, kBadSignature, kMixedPublication, kDigestMismatch, kExpired; those of ReadRevocations.
Result<Publication> OpenPublication(ByteView bytes, const TrustAnchor& anchor, WallTime now);

// Whether the device is in the round: the first 8 bytes of SHA-256(nonce || device id), little endian, as a fraction of
// 2^64, < inclusion.
bool IsSelected(const RoundAnnouncement& round, const DeviceId& device);

// Names a device in an AskAgain.
uint64_t AskedName(const DeviceId& device);
// Which time of asking the device has to answer; 0: the first.
uint32_t AskFor(const AskAgain& again, const DeviceId& device);
// As publications and databases carry them. kMalformed; kTooLarge: over limits::kAskedDevices.
Bytes NamesToBytes(std::span<const uint64_t> names);
Result<std::vector<uint64_t>> NamesFromBytes(ByteView bytes);

// The blobs that it names, each once. A version's weights come of its compact ones too, where their base is.
std::vector<BlobRef> BlobsOf(const Publication& publication);

// The catalogue's bytes. Number, root version, expiry and revocations are not among them: the metadata says those.
Bytes EncodePublication(const Publication& publication);
// Form and bounds of every field; believes nothing yet. Errors: kMalformed, kTooLarge.
Result<Publication> DecodePublication(ByteView body);

}  // namespace tributary
