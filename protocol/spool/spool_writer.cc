#include "protocol/spool/spool_writer.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {
namespace {

// Digests of what lies on the disk are computed in pieces of this size.
constexpr uint64_t kRereadBytes = limits::kMiB;

}  // namespace

Status SpoolWriter::Begin(bool barrier) {
  barrier_ = barrier && options_.mode == SpoolMode::kDurable;
  index_error_.reset();
  before_ = account_;
  RETURN_IF_ERROR(index_.SetDurable(barrier_));
  ASSIGN_OR_RETURN(auto transaction, index_.Begin());
  transaction_.emplace(std::move(transaction));
  return {};
}

Result<std::map<UploadId, Error>> SpoolWriter::Commit() {
  std::map<UploadId, Error> lost;
  digests_.Wait();  // the chunks go when they are answered
  if (barrier_) {
    ASSIGN_OR_RETURN(lost, files_.Sync({completed_.begin(), completed_.end()}));
  }
  for (const auto& [id, error] : lost) {
    // After a failed sync the kernel may have dropped the pages: nothing of this file can be trusted any more.
    LogFailure(LogLevel::kError, "spool.sync_failed", error, {{"id", id.hex()}});
    ASSIGN_OR_RETURN(const auto upload, index_.Find(id));
    TRIBUTARY_CHECK(upload.has_value()) << "completed upload " << id.hex() << " has no row";
    (void)files_.Remove(id);
    --account_.of(upload->kind).spooled;
    ++account_.of(upload->kind).in_flight;
    RETURN_IF_ERROR(StartAgain(*upload));
  }
  for (const UploadId& id : completed_) files_.Close(id);
  RETURN_IF_ERROR(index_.SaveAccount(saved_, account_));
  RETURN_IF_ERROR(transaction_->Commit());
  transaction_.reset();
  if (barrier_) ++account_.barriers;
  saved_ = account_;
  for (const UploadId& id : freed_) {
    // A file that stays behind is an orphan that the next Open removes.
    if (auto removed = files_.Remove(id); !removed)
      LogFailure(LogLevel::kWarning, "spool.remove_failed", removed.error());
  }
  freed_.clear();
  completed_.clear();
  return lost;
}

void SpoolWriter::Abort() {
  digests_.Wait();
  transaction_.reset();
  account_ = before_;
  freed_.clear();
  completed_.clear();
  // Progress and digests may be ahead of the index now: read both again when they are next asked for.
  partials_.clear();
}

Result<OfferAnswer> SpoolWriter::Offer(SpooledUpload upload, ByteView envelope) {
  upload.in_index = upload.ciphertext_size <= options_.inline_limit;
  auto answer = Judge(upload, envelope);
  if (!answer && !index_error_) {
    KindAccount& kind = account_.of(upload.kind);
    ++kind.offered;
    ++kind.refused[answer.error().code];
  }
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
    RETURN_IF_ERROR(DropOne(*here, Code::kDuplicate, false));
  }
  ASSIGN_OR_RETURN(const auto dead, Watched(index_.DeadReason(upload.id)));
  if (dead && !IsTransient(*dead))
    return Fail(*dead, "upload " + upload.id.hex() + " was dropped for this reason before");
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
    if (rival) RETURN_IF_ERROR(DropOne(*rival, Code::kDuplicate, false));
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
  if (upload.ciphertext_size > options_.max_bytes || account_.bytes > options_.max_bytes - upload.ciphertext_size) {
    return Fail(Code::kQuotaExceeded, "the spool has " + std::to_string(account_.bytes) + " of " +
                                          std::to_string(options_.max_bytes) + " bytes in use, the upload has " +
                                          std::to_string(upload.ciphertext_size));
  }
  RETURN_IF_ERROR(Watched(index_.Insert(upload, envelope, clock_.Now())));
  partials_.insert_or_assign(upload.id, Partial{upload, std::make_shared<Sha256Stream>(), true});
  KindAccount& kind = account_.of(upload.kind);
  ++kind.offered;
  ++kind.in_flight;
  account_.bytes += upload.ciphertext_size;
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
  if (facts.in_index) return Watched(index_.PutChunk(facts.id, chunk, ciphertext));
  freed_.erase(facts.id);  // it started again within this batch: its file is wanted after all
  return files_.Write(facts.id, facts.ChunkOffset(chunk), ciphertext);
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
  return AppendAnswer{.next_chunk = facts.chunk_count, .complete = true};
}

Status SpoolWriter::StartAgain(SpooledUpload facts) {
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

Status SpoolWriter::TakeOut(const SpooledUpload& upload) {
  RETURN_IF_ERROR(Watched(index_.Remove(upload.id)));
  partials_.erase(upload.id);
  completed_.erase(upload.id);
  if (!upload.in_index) freed_.insert(upload.id);
  KindAccount& kind = account_.of(upload.kind);
  --(upload.state == UploadState::kComplete ? kind.spooled : kind.in_flight);
  account_.bytes -= upload.ciphertext_size;
  return {};
}

Status SpoolWriter::DropOne(const SpooledUpload& upload, Code reason, bool dead_letter) {
  RETURN_IF_ERROR(TakeOut(upload));
  ++account_.of(upload.kind).dropped[reason];
  LogInfo("upload.dropped", {{"id", upload.id.hex()}, {"kind", KindName(upload.kind)}, {"reason", Name(reason)}});
  if (!dead_letter) return {};
  return Watched(index_.Bury(upload, reason, clock_.Now()));
}

Status SpoolWriter::CountRefused(UploadKind kind, Code reason) {
  ++account_.of(kind).offered;
  ++account_.of(kind).refused[reason];
  return {};
}

void SpoolWriter::CountAborted(const SpooledUpload& offered, Code reason) {
  const auto here = index_.Find(offered.id);
  if (here && *here) return;  // it was no new offer
  (void)CountRefused(offered.kind, reason);
}

Result<SpooledUpload> SpoolWriter::CompleteOf(const UploadId& id) {
  ASSIGN_OR_RETURN(auto here, Watched(index_.Find(id)));
  if (!here || here->state != UploadState::kComplete)
    return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not in custody");
  return std::move(*here);
}

Status SpoolWriter::Delivered(const UploadId& id) {
  ASSIGN_OR_RETURN(const SpooledUpload upload, CompleteOf(id));
  RETURN_IF_ERROR(TakeOut(upload));
  ++account_.of(upload.kind).delivered;
  return Watched(index_.RememberDelivered(upload));
}

Status SpoolWriter::Drop(const UploadId& id, Code reason) {
  ASSIGN_OR_RETURN(const auto upload, Watched(index_.Find(id)));
  if (!upload) return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not here");
  return DropOne(*upload, reason, true);
}

Result<uint64_t> SpoolWriter::DropStale(const TaskId& task, const std::vector<ModelVersion>& accepted) {
  uint64_t dropped = 0;
  ASSIGN_OR_RETURN(const auto versions, Watched(index_.BaseVersions(task)));
  for (const ModelVersion version : versions) {
    const bool newer = !accepted.empty() && version > *std::ranges::max_element(accepted);
    if (newer || std::ranges::find(accepted, version) != accepted.end()) continue;
    ASSIGN_OR_RETURN(const auto uploads, Watched(index_.UpdatesOf(task, version)));
    for (const SpooledUpload& upload : uploads) RETURN_IF_ERROR(DropOne(upload, Code::kStaleVersion, false));
    RETURN_IF_ERROR(Watched(index_.ForgetDelivered(task, version)));
    dropped += uploads.size();
  }
  return dropped;
}

Result<uint64_t> SpoolWriter::DropExpired() {
  const WallTime now = clock_.Now();
  ASSIGN_OR_RETURN(const auto expired, Watched(index_.Expired(now)));
  for (const SpooledUpload& upload : expired) RETURN_IF_ERROR(DropOne(upload, Code::kExpired, false));
  ASSIGN_OR_RETURN(const auto abandoned, Watched(index_.Untouched(now + -options_.abandon_after)));
  for (const SpooledUpload& upload : abandoned) RETURN_IF_ERROR(DropOne(upload, Code::kTimeout, false));
  return expired.size() + abandoned.size();
}

Status SpoolWriter::Recover() {
  ASSIGN_OR_RETURN(account_, index_.LoadAccount());
  saved_ = account_;
  RETURN_IF_ERROR(Begin(true));
  std::set<std::string> kept;
  ASSIGN_OR_RETURN(const auto uploads, index_.All());
  for (const SpooledUpload& upload : uploads) {
    if (upload.in_index) continue;
    kept.insert(PayloadFiles::NameOf(upload.id));
    RETURN_IF_ERROR(RecoverOne(upload));
  }
  ASSIGN_OR_RETURN(const auto lost, Commit());
  ASSIGN_OR_RETURN(const uint64_t orphans, files_.RemoveOrphans([&](const auto& name) { return kept.contains(name); }));
  LogInfo("spool.opened", {{"folder", options_.folder.string()},
                           {"uploads", uploads.size()},
                           {"bytes", account_.bytes},
                           {"orphans_removed", orphans}});
  return {};
}

Status SpoolWriter::RecoverOne(SpooledUpload upload) {
  ASSIGN_OR_RETURN(const uint64_t size, files_.Size(upload.id));
  const uint64_t needed = std::min(upload.ciphertext_size, upload.ChunkOffset(upload.next_chunk));
  const bool staged = upload.state == UploadState::kComplete && options_.mode == SpoolMode::kStaging;
  if (staged) {
    // Nobody synced it, so its bytes may not be what its digest once was compared with. Its sender still has custody
    // and offers it again; the last chunk then brings the comparison with it.
    --account_.of(upload.kind).spooled;
    ++account_.of(upload.kind).in_flight;
    upload.state = UploadState::kPartial;
    upload.next_chunk = upload.chunk_count - 1;
    RETURN_IF_ERROR(index_.SetProgress(upload, clock_.Now()));
  }
  if (size >= needed) return {};
  const bool custody = upload.state == UploadState::kComplete;
  Log(custody ? LogLevel::kError : LogLevel::kWarning, custody ? "spool.payload_lost" : "spool.progress_lost",
      {{"id", upload.id.hex()}, {"device", upload.device.text()}, {"bytes", needed}, {"bytes_lost", needed - size}});
  if (custody) return DropOne(upload, Code::kCorrupt, true);
  upload.next_chunk = static_cast<uint32_t>(size / upload.ChunkOffset(1));
  return index_.SetProgress(upload, clock_.Now());
}

}  // namespace tributary
