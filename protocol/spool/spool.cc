#include "protocol/spool/spool.h"

#include <utility>

#include "protocol/spool/group_commit.h"
#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool_index.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {
namespace {

constexpr auto kHereOnly = SpoolReader::Scope::kWithoutDeadLetters;

}  // namespace

Result<std::unique_ptr<Spool>> Spool::Open(SpoolOptions options, FileSystem& files, const Clock& clock,
                                           Executor& worker) {
  RETURN_IF_ERROR(files.CreateFolders(PayloadFiles::FolderIn(options.folder)));
  const Path folder = options.folder;
  ASSIGN_OR_RETURN(auto index, SpoolIndex::Open(SpoolIndex::FileIn(folder)));
  ASSIGN_OR_RETURN(auto seen, SpoolIndex::Open(SpoolIndex::FileIn(folder)));
  RETURN_IF_ERROR(files.SyncFolder(folder));
  auto writing = std::make_shared<GroupCommit>(std::move(options), files, clock, worker, std::move(index));
  RETURN_IF_ERROR(writing->Recover());
  auto reader = std::make_unique<SpoolReader>(folder, files, std::move(seen));
  return std::unique_ptr<Spool>(new Spool(std::move(writing), std::move(reader)));
}

Spool::Spool(std::shared_ptr<GroupCommit> writing, std::unique_ptr<SpoolReader> reader)
    : writing_(std::move(writing)), reader_(std::move(reader)) {}

Spool::~Spool() { writing_->Drain(); }

void Spool::Offer(const UploadHeader& header, Bytes envelope, Done<OfferAnswer> done, const Status& admitted) {
  const SpooledUpload facts = FactsOf(header);
  writing_->Enqueue<OfferAnswer>(
      {.recount = [facts](SpoolWriter& writer, Code code) { writer.arrivals.CountAborted(facts, code); }},
      [facts, envelope = std::move(envelope), admitted](SpoolWriter& writer) {
        return writer.arrivals.Offer(facts, envelope, admitted);
      },
      std::move(done));
}

void Spool::Append(const UploadId& id, uint32_t chunk, Bytes ciphertext, Done<AppendAnswer> done) {
  writing_->Enqueue<AppendAnswer>(
      {.chunk = std::pair(id, chunk)},
      [id, chunk, bytes = std::move(ciphertext)](SpoolWriter& writer) {
        return writer.arrivals.Append(id, chunk, bytes);
      },
      std::move(done));
}

void Spool::CountRefused(UploadKind kind, Code reason) {
  const auto count = [kind, reason](SpoolWriter& writer, Code) { writer.state.CountRefused(kind, reason); };
  const auto work = [count](SpoolWriter& writer) -> Status { return count(writer, Code{}), Status{}; };
  writing_->Enqueue<void>({.recount = count}, work, nullptr);
}

void Spool::Delivered(const UploadId& id, Done<void> done) {
  writing_->Enqueue<void>(
      {.barrier = true, .frees = true}, [id](SpoolWriter& writer) { return writer.departures.Delivered(id); },
      std::move(done));
}

void Spool::Drop(const UploadId& id, Code reason, Done<void> done) {
  writing_->Enqueue<void>(
      {.barrier = true, .frees = true},
      [id, reason](SpoolWriter& writer) { return writer.departures.Drop(id, reason); }, std::move(done));
}

void Spool::DropStale(const TaskId& task, std::vector<ModelVersion> accepted, Done<uint64_t> done) {
  writing_->Sweep([task, accepted = std::move(accepted)](
                      SpoolWriter& writer) { return writer.departures.DropStale(task, accepted); },
                  std::move(done));
}

void Spool::DropSealedTo(std::vector<KeyId> keys, Done<uint64_t> done) {
  writing_->Sweep([keys = std::move(keys)](SpoolWriter& writer) { return writer.departures.DropSealedTo(keys); },
                  std::move(done));
}

void Spool::DropErased(const TaskId& task, Done<uint64_t> done) {
  writing_->Sweep([task](SpoolWriter& writer) { return writer.departures.DropErased(task); }, std::move(done));
}

void Spool::DropRevoked(const TrustAnchor& anchor, Done<uint64_t> done) {
  // A page goes on where the one before it ended.
  const auto last = std::make_shared<std::optional<UploadId>>();
  writing_->Sweep([anchor, last](SpoolWriter& writer) { return writer.departures.DropRevoked(anchor, *last); },
                  std::move(done));
}

void Spool::DropPartial(const std::optional<DeviceId>& device, Done<uint64_t> done) {
  writing_->Sweep([device](SpoolWriter& writer) { return writer.departures.DropPartial(device); }, std::move(done));
}

void Spool::DropExpired(Done<uint64_t> done) {
  writing_->Sweep([](SpoolWriter& writer) { return writer.departures.DropExpired(); }, std::move(done));
  Probe(nullptr);
}

void Spool::Requeue(const UploadId& id, Done<void> done) {
  writing_->Enqueue<void>(
      {.barrier = true}, [id](SpoolWriter& writer) { return writer.departures.Requeue(id); }, std::move(done));
}

void Spool::Purge(const std::optional<UploadId>& id, Done<uint64_t> done) {
  if (!id) return writing_->Sweep([](SpoolWriter& writer) { return writer.departures.PurgeAll(); }, std::move(done));
  writing_->Enqueue<uint64_t>(
      {.barrier = true, .frees = true}, [id](SpoolWriter& writer) { return writer.departures.Purge(*id); },
      std::move(done));
}

void Spool::Probe(Done<void> done) {
  writing_->Enqueue<void>(
      {.barrier = true}, [](SpoolWriter& writer) { return writer.recovery.Probe(); }, std::move(done));
}

Status Spool::Health() const { return writing_->Health(); }

SpoolAccount Spool::Account() const { return writing_->Account(); }

Result<std::vector<SpooledUpload>> Spool::Pending(size_t limit) const { return reader_->Pending(limit); }

Result<Bytes> Spool::ReadEnvelope(const UploadId& id) const { return reader_->ReadEnvelope(id, kHereOnly); }

Result<Bytes> Spool::ReadChunk(const UploadId& id, uint32_t chunk) const {
  return reader_->ReadChunk(id, chunk, kHereOnly);
}

Result<std::vector<DeadLetter>> Spool::DeadLetters(size_t limit) const { return reader_->DeadLetters(limit); }

Result<std::optional<WallTime>> Spool::OldestSpooled() const { return reader_->OldestSpooled(); }

}  // namespace tributary
