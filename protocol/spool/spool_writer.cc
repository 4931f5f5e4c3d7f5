#include "protocol/spool/spool_writer.h"

#include <algorithm>

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// Digests of what lies on the disk are computed in pieces of this size.
constexpr uint64_t kRereadBytes = limits::kMiB;

}  // namespace

SpoolWriter::SpoolWriter(const SpoolOptions& options, SpoolIndex& index, PayloadFiles& payloads, FileSystem& files,
                         const Clock& clock)
    : options_(options),
      index_(index),
      files_(payloads),
      clock_(clock),
      quota_(options, files, clock),
      ballast_(options.folder / "ballast", options.BallastBytes(), files) {}

Status SpoolWriter::Begin(bool barrier) {
  barrier_ = barrier && options_.mode == SpoolMode::kDurable;
  probed_ = false;
  sync_failed_ = false;
  index_error_.reset();
  quota_.LookAtDisk();
  account_.disk = quota_.disk();
  before_ = account_;
  measured_before_ = measured_;
  RETURN_IF_ERROR(Watched(index_.SetDurable(barrier_)));
  ASSIGN_OR_RETURN(auto transaction, Watched(index_.Begin()));
  transaction_.emplace(std::move(transaction));
  for (const UploadId& id : distrusted_) {
    ASSIGN_OR_RETURN(const auto here, Watched(index_.Find(id)));
    if (here && here->state == UploadState::kPartial) RETURN_IF_ERROR(StartAgain(*here));
  }
  return {};
}

Result<std::map<UploadId, Error>> SpoolWriter::Commit() {
  std::map<UploadId, Error> lost;
  digests_.Wait();  // the chunks go when they are answered
  if (barrier_) RETURN_IF_ERROR(SyncCompleted(lost));
  for (const UploadId& id : completed_) files_.Close(id);
  RETURN_IF_ERROR(Watched(index_.account().Save(saved_, account_)));
  TRIBUTARY_FAULT_POINT("spool.index.before_commit");
  RETURN_IF_ERROR(Watched(transaction_->Commit()));
  TRIBUTARY_FAULT_POINT("spool.index.committed");
  transaction_.reset();
  distrusted_.clear();
  if (probed_ || account_.kinds != before_.kinds) index_trouble_.reset();
  if (barrier_) ++account_.barriers;
  saved_ = account_;
  RemoveFreed();
  completed_.clear();
  return lost;
}

Status SpoolWriter::SyncCompleted(std::map<UploadId, Error>& lost) {
  auto synced = files_.Sync({completed_.begin(), completed_.end()});
  sync_failed_ = synced ? !synced->empty() : files_.sync_lost_some();
  if (!synced) {
    payload_trouble_ = synced.error();
    return Fail(std::move(synced).error());
  }
  lost = std::move(*synced);
  if (lost.empty() && !completed_.empty()) payload_trouble_.reset();
  for (const auto& [id, error] : lost) {
    // After a failed sync the kernel may have dropped the pages: nothing of this file can be trusted any more.
    LogFailure(LogLevel::kError, "spool.sync_failed", error, {{"id", id.hex()}});
    payload_trouble_ = error;
    ASSIGN_OR_RETURN(const auto upload, Watched(index_.Find(id)));
    TRIBUTARY_CHECK(upload.has_value()) << "completed upload " << id.hex() << " has no row";
    (void)files_.Remove(id);
    --account_.of(upload->kind).spooled;
    --account_.waiting_of(upload->priority);
    ++account_.of(upload->kind).in_flight;
    RETURN_IF_ERROR(StartAgain(*upload));
  }
  return {};
}

void SpoolWriter::RemoveFreed() {
  for (const UploadId& id : freed_) {
    // A file that stays behind is an orphan that the next Open removes.
    if (auto removed = files_.Remove(id); !removed)
      LogFailure(LogLevel::kWarning, "spool.remove_failed", removed.error());
  }
  freed_.clear();
}

void SpoolWriter::Abort(const Error& why) {
  digests_.Wait();
  // SQLite says no more than that a write failed: a payload file's tells why.
  if (index_error_ && why.code == Code::kIo && !index_trouble_) {
    if (const Status probed = files_.Probe(); !probed) payload_trouble_ = probed.error();
  }
  if (index_error_) index_trouble_ = why;
  transaction_.reset();
  account_ = before_;
  unmeasured_ = unmeasured_ || measured_ != measured_before_;
  measured_ = measured_before_;
  if (sync_failed_) distrusted_.insert(completed_.begin(), completed_.end());
  freed_.clear();
  completed_.clear();
  // Progress and digests may be ahead of the index now: read both again when they are next asked for.
  partials_.clear();
}

Status SpoolWriter::Health() const {
  const bool index_knows = index_trouble_ && (index_trouble_->code != Code::kIo || !payload_trouble_);
  const std::optional<Error>& trouble = index_knows ? index_trouble_ : payload_trouble_;
  if (!trouble) return quota_.DiskHasRoom();
  // A database file that cannot be written is, to a person, a disk that cannot be written.
  const Code code = trouble->code == Code::kPermissions ? Code::kReadOnly : trouble->code;
  return Fail(code, "the spool in " + options_.folder.string() + " cannot write: " + trouble->message +
                        "; what has custody is safe, and work goes on by itself when it can write again");
}

Result<OfferAnswer> SpoolWriter::Offer(SpooledUpload upload, ByteView envelope) {
  upload.in_index = upload.ciphertext_size <= options_.inline_limit;
  auto answer = Judge(upload, envelope);
  if (!answer && !index_error_) RETURN_IF_ERROR(CountRefused(upload.kind, answer.error().code));
  return answer;
}

Result<OfferAnswer> SpoolWriter::Judge(const SpooledUpload& upload, ByteView envelope) {
  KindAccount& kind = account_.of(upload.kind);
  ASSIGN_OR_RETURN(const auto here, Watched(index_.Find(upload.id)));
  if (here) {
    if (here->device != upload.device)
      return Fail(Code::kWrongIdentity, "upload " + upload.id.hex() + " is another device's");
    const bool same = here->ciphertext_digest == upload.ciphertext_digest &&
                      here->ciphertext_size == upload.ciphertext_size && here->chunk_size == upload.chunk_size &&
                      here->chunk_count == upload.chunk_count;
    if (same || here->state == UploadState::kComplete) return Known(*here, upload);
    // Sealed anew under the old id: what lies here belongs to an envelope its sender has given up.
    RETURN_IF_ERROR(DropOne(*here, Code::kDuplicate));
  }
  ASSIGN_OR_RETURN(const auto dead, Watched(index_.dead_letters().Find(upload.id)));
  if (dead && !IsTransient(dead->reason))
    return Fail(dead->reason, "upload " + upload.id.hex() + " was dropped for this reason before");
  ASSIGN_OR_RETURN(const bool delivered, Watched(index_.WasDelivered(upload)));
  if (delivered) {
    ++kind.offered;
    ++kind.duplicate;
    return OfferAnswer{.already = true};
  }
  if (upload.kind == UploadKind::kUpdate) {
    ASSIGN_OR_RETURN(const auto rival, Watched(index_.FindContribution(upload)));
    if (rival && rival->state == UploadState::kComplete) {
      if (options_.mode == SpoolMode::kStaging) {
        return Fail(Code::kBusy,
                    "the contribution of " + upload.device.text() + " is being taken in as " + rival->id.hex());
      }
      ++kind.offered;
      ++kind.duplicate;
      return OfferAnswer{.already = true};
    }
    if (rival) RETURN_IF_ERROR(DropOne(*rival, Code::kDuplicate));
  }
  return Admit(upload, envelope);
}

Result<OfferAnswer> SpoolWriter::Known(const SpooledUpload& here, const SpooledUpload& offered) {
  if (here.state == UploadState::kPartial || options_.mode == SpoolMode::kStaging) {
    return OfferAnswer{.next_chunk = here.next_chunk};
  }
  KindAccount& kind = account_.of(offered.kind);
  ++kind.offered;
  ++kind.duplicate;
  return OfferAnswer{.already = true};
}

Result<OfferAnswer> SpoolWriter::Admit(const SpooledUpload& upload, ByteView envelope) {
  ASSIGN_OR_RETURN(const auto holding, Watched(index_.account().Held(upload.device)));
  ASSIGN_OR_RETURN(const auto room, quota_.RoomFor(upload, account_, holding));
  RETURN_IF_ERROR(MakeRoom(room, upload.device));
  // Given up for a passing reason, and here again.
  ASSIGN_OR_RETURN(const auto dead, Watched(index_.dead_letters().Find(upload.id)));
  if (dead) RETURN_IF_ERROR(ForgetLetter(*dead));
  RETURN_IF_ERROR(Watched(index_.Insert(upload, envelope, clock_.Now())));
  RETURN_IF_ERROR(CountIn(upload));
  partials_.insert_or_assign(upload.id, Partial{upload, std::make_shared<Sha256Stream>(), true});
  ++account_.of(upload.kind).offered;
  return OfferAnswer{.next_chunk = 0};
}

Result<SpoolWriter::Partial*> SpoolWriter::PartialOf(const UploadId& id) {
  if (auto found = partials_.find(id); found != partials_.end()) return &found->second;
  ASSIGN_OR_RETURN(const auto here, Watched(index_.Find(id)));
  if (!here) return Fail(Code::kUnknownUpload, "upload " + id.hex() + " was not offered");
  if (here->state == UploadState::kComplete) return nullptr;
  Partial partial{*here, nullptr, here->next_chunk == 0};
  if (here->next_chunk == 0) partial.digest = std::make_shared<Sha256Stream>();
  return &partials_.emplace(id, std::move(partial)).first->second;
}

bool SpoolWriter::IsLast(const UploadId& id, uint32_t chunk) {
  const auto partial = PartialOf(id);
  return partial && *partial != nullptr && chunk + 1 == (*partial)->facts.chunk_count;
}

Result<AppendAnswer> SpoolWriter::Append(const UploadId& id, uint32_t chunk, ByteView ciphertext) {
  ASSIGN_OR_RETURN(Partial* const partial, PartialOf(id));
  if (partial == nullptr) return AppendAnswer{.next_chunk = chunk + 1, .complete = true};
  SpooledUpload& facts = partial->facts;
  if (chunk != facts.next_chunk) {
    return Fail(Code::kChunkOutOfOrder, "upload " + id.hex() + ": chunk " + std::to_string(chunk) + " came, chunk " +
                                            std::to_string(facts.next_chunk) + " is next");
  }
  const size_t expected = facts.ChunkBytes(chunk);
  if (ciphertext.size() != expected) {
    return Fail(ciphertext.size() > expected ? Code::kTooLarge : Code::kMalformed,
                "chunk " + std::to_string(chunk) + " of upload " + id.hex() + " has " +
                    std::to_string(ciphertext.size()) + " bytes, its header says " + std::to_string(expected));
  }
  RETURN_IF_ERROR(CatchUpDigest(*partial));
  if (facts.in_index) {
    partial->digest->Update(ciphertext);
  } else {
    digests_.Update(partial->digest, ciphertext);
  }
  if (auto stored = Store(facts, chunk, ciphertext); !stored) {
    partial->digest.reset();  // it is ahead of what is stored
    return Fail(std::move(stored).error());
  }
  ++facts.next_chunk;
  account_.unwritten -= expected;
  if (facts.next_chunk == facts.chunk_count) return Finish(*partial);
  RETURN_IF_ERROR(Watched(index_.SetProgress(facts, clock_.Now())));
  return AppendAnswer{.next_chunk = facts.next_chunk};
}

Status SpoolWriter::CatchUpDigest(Partial& partial) {
  if (partial.digest) return {};
  const SpooledUpload& facts = partial.facts;
  auto digest = std::make_shared<Sha256Stream>();
  if (facts.in_index) {
    for (uint32_t chunk = 0; chunk < facts.next_chunk; ++chunk) {
      ASSIGN_OR_RETURN(const Bytes bytes, Watched(index_.GetChunk(facts.id, chunk)));
      digest->Update(bytes);
    }
  } else {
    const uint64_t end = facts.ChunkOffset(facts.next_chunk);
    for (uint64_t offset = 0; offset < end; offset += kRereadBytes) {
      const auto bytes = files_.Read(facts.id, offset, std::min(kRereadBytes, end - offset));
      if (!bytes) {
        const Error error = bytes.error();
        RETURN_IF_ERROR(StartAgain(partial.facts));  // `partial` is gone from here on
        return Fail(Code::kBusy, "what was stored of an upload cannot be read again: " + error.ToString());
      }
      digest->Update(*bytes);
    }
  }
  partial.digest = std::move(digest);
  return {};
}

Status SpoolWriter::Store(const SpooledUpload& facts, uint32_t chunk, ByteView ciphertext) {
  quota_.Wrote(ciphertext.size());
  if (facts.in_index) return Watched(index_.PutChunk(facts.id, chunk, ciphertext));
  // It started again within this batch: what lies there may be longer than what comes.
  if (freed_.erase(facts.id) > 0) RETURN_IF_ERROR(files_.Remove(facts.id));
  const Status written = files_.Write(facts.id, facts.ChunkOffset(chunk), ciphertext);
  if (written) {
    payload_trouble_.reset();
  } else {
    payload_trouble_ = written.error();
  }
  return written;
}

Result<AppendAnswer> SpoolWriter::Finish(Partial& partial) {
  SpooledUpload facts = partial.facts;
  const bool seen_whole = partial.seen_whole;
  digests_.Wait();
  const Digest digest = std::move(*partial.digest).Finish();
  partials_.erase(facts.id);  // `partial` is gone from here on
  if (digest != facts.ciphertext_digest) {
    RETURN_IF_ERROR(StartAgain(facts));
    if (!seen_whole)
      return Fail(Code::kBusy, "what was stored of upload " + facts.id.hex() + " did not survive a restart");
    return Fail(Code::kDigestMismatch, "upload " + facts.id.hex() + " announced " + facts.ciphertext_digest.hex() +
                                           ", received " + digest.hex());
  }
  facts.state = UploadState::kComplete;
  RETURN_IF_ERROR(Watched(index_.SetProgress(facts, clock_.Now())));
  if (!facts.in_index) completed_.insert(facts.id);
  --account_.of(facts.kind).in_flight;
  ++account_.of(facts.kind).spooled;
  ++account_.waiting_of(facts.priority);
  return AppendAnswer{.next_chunk = facts.chunk_count, .complete = true};
}

Status SpoolWriter::StartAgain(SpooledUpload facts) {
  account_.unwritten += facts.StoredBytes();
  facts.state = UploadState::kPartial;
  facts.next_chunk = 0;
  partials_.erase(facts.id);
  if (facts.in_index) {
    RETURN_IF_ERROR(Watched(index_.RemoveChunks(facts.id)));
  } else {
    freed_.insert(facts.id);
  }
  return Watched(index_.SetProgress(facts, clock_.Now()));
}

Status SpoolWriter::CountRefused(UploadKind kind, Code reason) {
  if (IsTransient(reason)) return {};  // the sender keeps it and offers it again: it counts when it is taken or given up
  ++account_.of(kind).offered;
  ++account_.of(kind).refused[reason];
  return {};
}

void SpoolWriter::CountAborted(const SpooledUpload& offered, Code reason) {
  const auto here = index_.Find(offered.id);
  if (here && *here) return;  // it was no new offer
  (void)CountRefused(offered.kind, reason);
}

}  // namespace tributary
