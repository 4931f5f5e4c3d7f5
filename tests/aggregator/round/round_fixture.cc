#include "tests/aggregator/round/round_fixture.h"

#include <algorithm>
#include <cmath>

#include "aggregator/records/sum_form.h"
#include "protocol/payload/update_codec.h"
#include "tests/support/must.h"
#include "tests/support/repository_folder.h"

namespace tributary {
namespace {

// Passes through to the real file and counts.
class FaultyFile final : public WritableFile {
 public:
  FaultyFile(FaultyFiles& files, std::unique_ptr<WritableFile> file, bool checkpoint)
      : files_(files), file_(std::move(file)), checkpoint_(checkpoint) {}
  Status WriteAt(uint64_t offset, ByteView bytes) override {
    RETURN_IF_ERROR(files_.Change());
    if (checkpoint_) files_.checkpoint_bytes += bytes.size();
    return file_->WriteAt(offset, bytes);
  }
  Status Sync() override {
    RETURN_IF_ERROR(files_.Change());
    return file_->Sync();
  }

 private:
  FaultyFiles& files_;
  std::unique_ptr<WritableFile> file_;
  bool checkpoint_;
};

UploadId IdFrom(uint64_t seed) { return SeededRandom(seed).TakeUploadId(); }

}  // namespace

Status StatusOf(const Verdict& verdict) {
  switch (verdict.kind()) {
    case Verdict::Kind::kTake:
      return {};
    case Verdict::Kind::kInSum:
      return Fail(Code::kBusy, "it is in the sum");
    case Verdict::Kind::kCounted:
      return Fail(Code::kDuplicate, "it is counted already");
    case Verdict::Kind::kRefused:
      break;
  }
  return Fail(verdict.error());
}

void RecordingListener::OnPublication(const Bytes&, uint64_t number, uint64_t) { publications.push_back(number); }
void RecordingListener::OnCustody(const std::vector<UploadId>& uploads) {
  for (const UploadId& upload : uploads) ++custody[upload];
}
void RecordingListener::OnEvent(const CoreEvent& event) { events.push_back(event); }
uint64_t RecordingListener::CountOf(const std::string& event) const {
  return static_cast<uint64_t>(std::ranges::count(events, event, &CoreEvent::name));
}

Status FaultyFiles::Change() {
  ++changes;
  if (calls_left < 0) return {};
  if (calls_left > 0) {
    --calls_left;
    return {};
  }
  if (on_exhausted != nullptr) on_exhausted();
  return Fail(failure, "the test's disk is gone");
}
Result<std::unique_ptr<WritableFile>> FaultyFiles::OpenForWrite(const Path& path) {
  RETURN_IF_ERROR(Change());
  ASSIGN_OR_RETURN(auto file, RealFileSystem().OpenForWrite(path));
  const bool checkpoint = path.parent_path().filename() == "checkpoints";
  return std::make_unique<FaultyFile>(*this, std::move(file), checkpoint);
}
Result<Bytes> FaultyFiles::ReadAt(const Path& path, uint64_t offset, size_t size) {
  return RealFileSystem().ReadAt(path, offset, size);
}
Result<uint64_t> FaultyFiles::Size(const Path& path) { return RealFileSystem().Size(path); }
Status FaultyFiles::Rename(const Path& from, const Path& to) {
  RETURN_IF_ERROR(Change());
  return RealFileSystem().Rename(from, to);
}
Status FaultyFiles::Remove(const Path& path) {
  RETURN_IF_ERROR(Change());
  return RealFileSystem().Remove(path);
}
Status FaultyFiles::SyncFolder(const Path& folder) {
  RETURN_IF_ERROR(Change());
  return RealFileSystem().SyncFolder(folder);
}
Status FaultyFiles::CreateFolders(const Path& folder) { return RealFileSystem().CreateFolders(folder); }
Result<std::vector<std::string>> FaultyFiles::List(const Path& folder) { return RealFileSystem().List(folder); }

RoundFixture::RoundFixture(Closed)
    : repository(Must(PublicationFolder::Open(RealFileSystem(),
                                              WriteRepositoryFolder(fleet.repository(), repository_folder.path())))),
      device_key(SigningKey::Generate()),
      task_id(TestTask("digits")) {}

Result<std::unique_ptr<Core>> RoundFixture::TryOpen() {
  FileSystem& used = disk != nullptr ? *disk : files;
  return Core::Open({.folder = elsewhere.value_or(folder.path()),
                     .files = used,
                     .clock = clock,
                     .repository = repository,
                     .sealing_key = fleet.sealing_key(),
                     .enrolled = [this](const Slice<DeviceId>& slice) { return EnrolledIn(slice); },
                     .staged = [this](UploadKind kind) { return kind == UploadKind::kUpdate ? staged_updates : 0; },
                     .retention = retention,
                     .random = &random},
                    listener);
}

void RoundFixture::Reopen() { Must(TryReopen()); }

Status RoundFixture::TryReopen() {
  core_.reset();
  ASSIGN_OR_RETURN(core_, TryOpen());
  return {};
}

Digest RoundFixture::PutInitialWeights() {
  std::vector<float> weights(kTestParameters);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
  auto put = core_->tasks().mutable_blobs().Put(AsBytes(std::span<const float>(weights)));
  TRIBUTARY_CHECK(put) << put.error().ToString();
  return *put;
}

TaskRecord RoundFixture::NewTask(RoundPolicy policy, std::string_view name) {
  const Bytes module(100, 0x5a);
  auto put = core_->tasks().mutable_blobs().Put(module);
  TRIBUTARY_CHECK(put) << put.error().ToString();
  TaskRecord task;
  task.id = TestTask(name);
  task.table.tensors = {{.name = "a", .shape = {100, 2}, .offset = 0, .size = 200},
                        {.name = "b", .shape = {100}, .offset = 200, .size = 100}};
  task.module = {*put, module.size()};
  task.policy = policy;
  task.norm_bound = 10;
  task.max_weight = task.first_weight = 1000;
  return task;
}

TaskRecord RoundFixture::CreateTask(RoundPolicy policy, std::string_view name) {
  auto created = core_->tasks().Create(NewTask(policy, name), PutInitialWeights());
  TRIBUTARY_CHECK(created) << created.error().ToString();
  return *created;
}

Bytes RoundFixture::Plaintext(int device, ModelVersion base, const UpdateOptions& options) {
  const auto number = static_cast<uint64_t>(device);
  SeededRandom values(options.seed != 0 ? options.seed : number + 1000 * Number(base));
  std::vector<float> delta(options.parameters);
  for (float& value : delta) value = options.scale * static_cast<float>(UniformUnit(values) * 2 - 1);
  if (options.poison != 0) delta.at(7) = options.poison;
  UpdateFormat format(options.codec);
  if (IsLinear(options.codec)) {
    const auto task = core_->tasks().Get(task_id);
    TRIBUTARY_CHECK(task) << task.error().ToString();
    format = FormatOf(*task, options.codec, base, LastRound().bounds);
  }
  auto plaintext =
      EncodeUpdate(format, {.weight = options.weight, .parameter_count = options.parameters}, delta, &values);
  TRIBUTARY_CHECK(plaintext) << plaintext.error().ToString();
  return std::move(*plaintext);
}

SealedUpload RoundFixture::Update(int device, ModelVersion base, const UpdateOptions& options) {
  const auto number = static_cast<uint64_t>(device);
  const Bytes plaintext = Plaintext(device, base, options);
  UploadSubject subject;
  subject.id = IdFrom(options.upload != 0 ? options.upload : 7'000'000 + 1000 * number + Number(base));
  subject.task = task_id;
  subject.base_version = base;
  subject.device = TestDevice("d" + std::to_string(device));
  subject.created = clock.Now();
  subject.codec = options.codec;
  auto sealed = SealUpload(subject, plaintext, limits::kMinChunkBytes, {kDefaultAead, fleet.sealing_key().public_key},
                           device_key, {});
  TRIBUTARY_CHECK(sealed) << sealed.error().ToString();
  return std::move(*sealed);
}

SealedUpload RoundFixture::Evaluation(const std::string& member, ModelVersion version,
                                      const std::vector<EvaluationResult>& results) {
  UploadSubject subject;
  subject.id = random.TakeUploadId();
  subject.kind = UploadKind::kEvaluation;
  subject.task = task_id;
  subject.base_version = version;
  subject.device = TestDevice(member);
  subject.created = clock.Now();
  subject.priority = Priority::kEvaluation;
  subject.codec = Codec::kRecord;
  auto sealed = SealUpload(subject, EncodeEvaluation(results), limits::kMinChunkBytes,
                           {kDefaultAead, fleet.sealing_key().public_key}, device_key, {});
  TRIBUTARY_CHECK(sealed) << sealed.error().ToString();
  return std::move(*sealed);
}

SealedUpload RoundFixture::State(std::string_view device, ByteView plaintext) {
  UploadSubject subject;
  subject.id = random.TakeUploadId();
  subject.kind = UploadKind::kDeviceState;
  subject.task = task_id;
  subject.base_version = ModelVersion{1};
  subject.device = TestDevice(device);
  subject.created = clock.Now();
  subject.priority = Priority::kDeviceState;
  subject.codec = Codec::kRecord;
  auto sealed = SealUpload(subject, plaintext, limits::kMinChunkBytes, {kDefaultAead, fleet.sealing_key().public_key},
                           device_key, {});
  TRIBUTARY_CHECK(sealed) << sealed.error().ToString();
  return std::move(*sealed);
}

Status RoundFixture::Give(const SealedUpload& upload, Role role) {
  return StatusOf(core_->judge().Contribute(upload.header, role,
                                            [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); }));
}

Status RoundFixture::Admit(const UploadHeader& header) { return StatusOf(core_->judge().Admit(header)); }

Code RoundFixture::CodeOf(const Status& status) {
  TRIBUTARY_CHECK(!status) << "it succeeded";
  return status.error().code;
}

void RoundFixture::Pass(Millis by) {
  clock.Advance(by);
  core_->Tick();
}

std::vector<EnrolledMember> RoundFixture::EnrolledIn(const Slice<DeviceId>& slice) {
  ++enrolled_reads;
  std::ranges::sort(enrolled, {}, &EnrolledMember::id);
  std::vector<EnrolledMember> members;
  for (const EnrolledMember& member : enrolled) {
    if (slice.after < member.id && members.size() < slice.most) members.push_back(member);
  }
  return members;
}

Digest RoundFixture::LatestDigest() {
  const auto task = core_->tasks().Get(task_id);
  TRIBUTARY_CHECK(task.has_value());
  const auto latest = core_->tasks().Version(task_id, task->latest);
  TRIBUTARY_CHECK(latest.has_value());
  return latest->weights.digest;
}

RoundRecord RoundFixture::LastRound() {
  auto rounds = core_->rounds().List(task_id, {.after = 0, .most = 100'000});
  TRIBUTARY_CHECK(rounds && !rounds->empty());
  return rounds->back();
}

void RoundFixture::CheckAccounts() {
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount account = core_->fleet().Account(kind);
    TRIBUTARY_CHECK(account.Balances()) << KindName(kind) << " offered " << account.offered;
  }
}

}  // namespace tributary
