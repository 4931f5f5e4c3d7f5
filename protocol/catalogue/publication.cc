#include "protocol/catalogue/publication.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "protocol/base/limits.h"
#include "protocol/catalogue/task_wire.h"
#include "protocol/schema/canonical.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

void Write(const BlobRef& from, schema::BlobRef::Builder to) {
  to.setDigest(wire::ToData(from.digest.view()));
  to.setSize(from.size);
}

void Write(TrainingPlan from, schema::TrainingPlan::Builder to) {
  TrainingPlan defaults;
  WritePlan(FieldsOf(from), FieldsOf(defaults), to);
}

void Write(const RoundAnnouncement& from, schema::Round::Builder to) {
  to.setNumber(from.number);
  to.setNonce(wire::ToData(from.nonce));
  to.setInclusion(from.inclusion);
  to.setDeadlineUnixMillis(from.deadline.unix_millis);
  to.setLinearStep(from.linear_step);
  to.setAsk(from.again.times);
  if (!from.again.asked.empty()) to.setAsked(wire::ToData(NamesToBytes(from.again.asked)));
  if (!from.again.counted.empty()) to.setCounted(wire::ToData(NamesToBytes(from.again.counted)));
}

void Write(const PublishedTask& from, schema::Task::Builder to) {
  to.setId(wire::ToText(from.id.text()));
  WriteTensors(from.table, to.initTensors(static_cast<unsigned>(from.table.tensors.size())));
  Write(from.module, to.initModule());
  Write(from.plan, to.initPlan());
  to.setLatest(Number(from.latest));
  Write(from.weights, to.initWeights());
  auto accepted = to.initAccepted(static_cast<unsigned>(from.accepted.size()));
  for (unsigned i = 0; i < from.accepted.size(); ++i) accepted.set(i, Number(from.accepted[i]));
  if (from.round) Write(*from.round, to.getRound().initOpen());
  to.setValueBound(from.value_bound);
  to.setNormBound(from.norm_bound);
  if (const std::string manifest = CarriedText(from.manifest); !manifest.empty()) to.setManifest(wire::ToText(manifest));
  if (!from.compact) return;
  auto compact = to.initCompact();
  compact.setCodec(static_cast<uint8_t>(from.compact->codec));
  compact.setBase(wire::ToData(from.compact->base.view()));
  Write(from.compact->blob, compact.initBlob());
}

Result<BlobRef> Read(schema::BlobRef::Reader from) {
  if (from.getSize() > limits::kBlobBytes)
    return Fail(Code::kTooLarge, "a blob of {} bytes is over the limit", from.getSize());
  ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(wire::View(from.getDigest())));
  return BlobRef{digest, from.getSize()};
}

Result<TrainingPlan> Read(schema::TrainingPlan::Reader from) {
  TrainingPlan plan;
  if (const Status read = ReadPlan(from, FieldsOf(plan)); !read)
    return Fail(read.error().code, "training plan: {}", read.error().message);
  return plan;
}

Result<RoundAnnouncement> Read(schema::Round::Reader from) {
  RoundAnnouncement to;
  to.number = from.getNumber();
  if (to.number > limits::kCounter || !limits::IsTime(from.getDeadlineUnixMillis()))
    return Fail(Code::kMalformed, "there is no round {} until {} ms", to.number, from.getDeadlineUnixMillis());
  const ByteView nonce = wire::View(from.getNonce());
  if (nonce.size() != to.nonce.size()) return Fail(Code::kMalformed, "a round's nonce is not 16 bytes");
  std::memcpy(to.nonce.data(), nonce.data(), nonce.size());
  to.inclusion = from.getInclusion();
  if (!(to.inclusion > 0 && to.inclusion <= 1))
    return Fail(Code::kMalformed, "inclusion {} is not in (0, 1]", to.inclusion);
  to.deadline = {from.getDeadlineUnixMillis()};
  to.linear_step = from.getLinearStep();
  int exponent = 0;
  if (to.linear_step != 0 && !(std::isfinite(to.linear_step) && std::frexp(to.linear_step, &exponent) == 0.5))
    return Fail(Code::kMalformed, "the linear codec's step {} is not a power of two", to.linear_step);
  to.again.times = from.getAsk();
  ASSIGN_OR_RETURN(to.again.asked, NamesFromBytes(wire::View(from.getAsked())));
  ASSIGN_OR_RETURN(to.again.counted, NamesFromBytes(wire::View(from.getCounted())));
  return to;
}

Result<std::vector<ModelVersion>> ReadAccepted(schema::Task::Reader from) {
  const auto accepted = from.getAccepted();
  if (accepted.size() > limits::kAcceptedVersions)
    return Fail(Code::kTooLarge, "{} accepted versions are over the limit", accepted.size());
  std::vector<ModelVersion> versions;
  for (const uint64_t version : accepted) {
    if (version == 0 || version > from.getLatest())
      return Fail(Code::kMalformed, "accepted version {} does not exist", version);
    versions.push_back(ModelVersion{version});
  }
  return versions;
}

Status CheckBounds(const PublishedTask& task) {
  const auto positive = [](double bound) { return bound > 0 && std::isfinite(bound); };
  if (!positive(task.value_bound) || !positive(task.norm_bound))
    return Fail(Code::kMalformed, "task {}: the bounds are not positive and finite", task.id.text());
  if (Number(task.latest) > limits::kCounter)
    return Fail(Code::kMalformed, "task {}: there is no version {}", task.id.text(), Number(task.latest));
  if (task.latest == ModelVersion{}) return Fail(Code::kMalformed, "task {} has no version", task.id.text());
  if (task.weights.size != task.table.parameter_count() * sizeof(float)) {
    return Fail(Code::kMalformed, "task {}: weights of {} bytes for {} parameters", task.id.text(), task.weights.size,
                task.table.parameter_count());
  }
  return {};
}

Result<CompactWeights> Read(schema::CompactWeights::Reader from) {
  CompactWeights to;
  to.codec = static_cast<VersionCodec>(from.getCodec());
  if (!IsOneOf(to.codec) || to.codec == VersionCodec::kFloat32)
    return Fail(Code::kMalformed, "compact weights in the codec {}", from.getCodec());
  ASSIGN_OR_RETURN(to.base, Digest::FromBytes(wire::View(from.getBase())));
  ASSIGN_OR_RETURN(to.blob, Read(from.getBlob()));
  return to;
}

Result<PublishedTask> Read(schema::Task::Reader from) {
  PublishedTask to;
  ASSIGN_OR_RETURN(to.id, TaskId::Parse(wire::View(from.getId())));
  ASSIGN_OR_RETURN(to.table, ReadTensors(from.getTensors()));
  ASSIGN_OR_RETURN(to.module, Read(from.getModule()));
  ASSIGN_OR_RETURN(to.plan, Read(from.getPlan()));
  to.latest = ModelVersion{from.getLatest()};
  ASSIGN_OR_RETURN(to.weights, Read(from.getWeights()));
  ASSIGN_OR_RETURN(to.accepted, ReadAccepted(from));
  if (from.getRound().isOpen()) {
    ASSIGN_OR_RETURN(to.round, Read(from.getRound().getOpen()));
  }
  to.value_bound = from.getValueBound();
  to.norm_bound = from.getNormBound();
  ASSIGN_OR_RETURN(to.manifest, ReadManifest(wire::View(from.getManifest())));
  if (from.hasCompact()) {
    ASSIGN_OR_RETURN(to.compact, Read(from.getCompact()));
  }
  RETURN_IF_ERROR(CheckBounds(to));
  return to;
}

Status ReadSealingKey(schema::SealingKey::Reader from, Publication& to) {
  to.aead = static_cast<HpkeAead>(from.getAead());
  if (to.aead < HpkeAead::kAes128Gcm || to.aead > HpkeAead::kChaCha20Poly1305)
    return Fail(Code::kMalformed, "AEAD {} is not known", from.getAead());
  const ByteView key = wire::View(from.getPublicKey());
  if (key.size() != kX25519Bytes) return Fail(Code::kMalformed, "the sealing key is not 32 bytes");
  to.sealing_key = ToBytes(key);
  return {};
}

Result<std::vector<FormerSealingKey>> ReadFormerKeys(capnp::List<schema::FormerSealingKey>::Reader from) {
  if (from.size() > limits::kFormerKeys)
    return Fail(Code::kTooLarge, "{} former sealing keys are over the limit", from.size());
  std::vector<FormerSealingKey> keys;
  for (const auto key : from) {
    ASSIGN_OR_RETURN(const KeyId id, KeyId::FromBytes(wire::View(key.getId())));
    if (!limits::IsTime(key.getUntilUnixMillis()))
      return Fail(Code::kMalformed, "a former sealing key opens until {} ms", key.getUntilUnixMillis());
    keys.push_back({id, {key.getUntilUnixMillis()}});
  }
  return keys;
}

Result<Publication> Read(schema::Publication::Reader from) {
  Publication to;
  to.created = {from.getCreatedUnixMillis()};
  if (!limits::IsTime(to.created.unix_millis))
    return Fail(Code::kMalformed, "the publication was made at {} ms", to.created.unix_millis);
  RETURN_IF_ERROR(ReadSealingKey(from.getSealing(), to));
  ASSIGN_OR_RETURN(to.former_keys, ReadFormerKeys(from.getFormerKeys()));
  const auto tasks = from.getTasks();
  if (tasks.size() > limits::kTasks) return Fail(Code::kTooLarge, "{} tasks are over the limit", tasks.size());
  std::unordered_set<TaskId, IdHash> ids;
  for (const auto task : tasks) {
    ASSIGN_OR_RETURN(PublishedTask one, Read(task));
    if (!ids.insert(one.id).second) return Fail(Code::kMalformed, "two tasks are called {}", one.id.text());
    to.tasks.push_back(std::move(one));
  }
  return to;
}

}  // namespace

bool IsSelected(const RoundAnnouncement& round, const DeviceId& device) {
  Bytes message = ToBytes(round.nonce);
  Append(message, AsBytes(device.text()));
  const Digest digest = Sha256(message);
  ByteView front = digest.view();
  const uint64_t first8 = TakeU64(front).value();
  // 53 bits are what a double holds exactly; with all 64 the largest would round up to 1 and never be in.
  return static_cast<double>(first8 >> 11) * 0x1.0p-53 < round.inclusion;
}

uint64_t AskedName(const DeviceId& device) {
  const Digest digest = Sha256(AsBytes("tributary ask/" + device.text()));
  ByteView front = digest.view();
  return TakeU64(front).value();
}

uint32_t AskFor(const AskAgain& again, const DeviceId& device) {
  if (again.times == 0) return 0;
  const uint64_t name = AskedName(device);
  const auto has = [name](const std::vector<uint64_t>& names) { return std::ranges::find(names, name) != names.end(); };
  return (again.asked.empty() || has(again.asked)) && !has(again.counted) ? again.times : 0;
}

Bytes NamesToBytes(std::span<const uint64_t> names) {
  Bytes bytes;
  for (const uint64_t name : names) AppendU64(bytes, name);
  return bytes;
}

Result<std::vector<uint64_t>> NamesFromBytes(ByteView bytes) {
  if (bytes.size() % sizeof(uint64_t) != 0) return Fail(Code::kMalformed, "names of devices are 8 bytes each");
  if (bytes.size() > limits::kAskedDevices * sizeof(uint64_t))
    return Fail(Code::kTooLarge, "{} names of devices, the most is {}", bytes.size() / sizeof(uint64_t),
                limits::kAskedDevices);
  std::vector<uint64_t> names;
  while (!bytes.empty()) names.push_back(TakeU64(bytes).value());
  return names;
}

std::vector<BlobRef> BlobsOf(const Publication& publication) {
  std::vector<BlobRef> blobs;
  const auto add = [&](const BlobRef& blob) {
    if (std::ranges::find(blobs, blob) == blobs.end()) blobs.push_back(blob);
  };
  for (const PublishedTask& task : publication.tasks) {
    add(task.module);
    add(task.weights);
    if (task.compact) add(task.compact->blob);
  }
  return blobs;
}

Bytes EncodePublication(const Publication& publication) {
  return wire::EncodeCanonical<schema::Publication>([&](schema::Publication::Builder to) {
    to.setCreatedUnixMillis(publication.created.unix_millis);
    auto sealing = to.initSealing();
    sealing.setAead(static_cast<uint16_t>(publication.aead));
    sealing.setPublicKey(wire::ToData(publication.sealing_key));
    auto former = to.initFormerKeys(static_cast<unsigned>(publication.former_keys.size()));
    for (unsigned i = 0; i < publication.former_keys.size(); ++i) {
      former[i].setId(wire::ToData(publication.former_keys[i].id.view()));
      former[i].setUntilUnixMillis(publication.former_keys[i].until.unix_millis);
    }
    auto tasks = to.initTasks(static_cast<unsigned>(publication.tasks.size()));
    for (unsigned i = 0; i < publication.tasks.size(); ++i) Write(publication.tasks[i], tasks[i]);
  });
}

Result<Publication> DecodePublication(ByteView body) {
  const auto read = [](schema::Publication::Reader from) { return Read(from); };
  return wire::DecodeCanonical<schema::Publication>(body, "publication", read, limits::kPublicationBytes);
}

}  // namespace tributary
