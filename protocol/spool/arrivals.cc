#include "protocol/spool/arrivals.h"

namespace tributary {

Result<OfferAnswer> Arrivals::Offer(SpooledUpload upload, ByteView envelope, const Status& admitted) {
  upload.in_index = upload.ciphertext_size <= state_.options.inline_limit;
  auto answer = Judge(upload, envelope, admitted);
  if (!answer && state_.index.status()) state_.CountRefused(upload.kind, answer.error().code);
  return answer;
}

void Arrivals::CountAborted(const SpooledUpload& offered, Code reason) {
  const auto here = state_.index.uploads().Find(offered.id);
  if (here && *here) return;  // it was no new offer
  state_.CountRefused(offered.kind, reason);
}

Result<OfferAnswer> Arrivals::Judge(const SpooledUpload& upload, ByteView envelope, const Status& admitted) {
  ASSIGN_OR_RETURN(const auto here, state_.index.uploads().Find(upload.id));
  if (here) {
    if (here->device != upload.device)
      return Fail(Code::kWrongIdentity, "upload {} is another device's", upload.id.hex());
    const bool same = here->ciphertext_digest == upload.ciphertext_digest &&
                      here->ciphertext_size == upload.ciphertext_size && here->chunk_size == upload.chunk_size &&
                      here->chunk_count == upload.chunk_count;
    const bool whole = here->state == UploadState::kComplete;
    if (whole && state_.options.TakesCustody()) return Already(upload.kind);
    RETURN_IF_ERROR(admitted);
    if (same || whole) return OfferAnswer{.next_chunk = here->next_chunk};
    // Sealed anew under the old id: what lies here belongs to an envelope that its sender has given up.
    RETURN_IF_ERROR(departures_.DropOne(*here, Code::kDuplicate));
  }
  ASSIGN_OR_RETURN(const auto dead, state_.index.dead_letters().Find(upload.id));
  if (dead && !IsTransient(dead->reason))
    return Fail(dead->reason, "upload {} was dropped for this reason before", upload.id.hex());
  ASSIGN_OR_RETURN(const bool delivered, state_.index.delivered().Contains(upload));
  if (delivered) return Already(upload.kind);
  if (upload.kind == UploadKind::kUpdate) {
    ASSIGN_OR_RETURN(const auto rival, state_.index.uploads().FindContribution(upload));
    if (rival && rival->state == UploadState::kComplete) {
      if (state_.options.TakesCustody()) return Already(upload.kind);
      return Fail(Code::kBusy, "the contribution of {} is being taken in as {}", upload.device.text(), rival->id.hex());
    }
    if (rival && admitted) RETURN_IF_ERROR(departures_.DropOne(*rival, Code::kDuplicate));
  }
  RETURN_IF_ERROR(admitted);
  return Admit(upload, envelope);
}

OfferAnswer Arrivals::Already(UploadKind kind) {
  ++state_.account.of(kind).offered;
  ++state_.account.of(kind).duplicate;
  return OfferAnswer{.already = true};
}

Result<OfferAnswer> Arrivals::Admit(const SpooledUpload& upload, ByteView envelope) {
  ASSIGN_OR_RETURN(const uint64_t partial, state_.index.uploads().CountPartial(upload));
  if (partial >= state_.options.max_partial) {
    return Fail(Code::kQuotaExceeded,
                "device {} has {} uploads of kind {} under way, and may have no more until some of them are whole",
                upload.device.text(), partial, KindName(upload.kind));
  }
  RETURN_IF_ERROR(MakeRoom({upload, 0, upload.ciphertext_size}));
  // An upload that was given up for a passing reason may come again.
  ASSIGN_OR_RETURN(const auto dead, state_.index.dead_letters().Find(upload.id));
  if (dead) RETURN_IF_ERROR(departures_.ForgetLetter(*dead));
  RETURN_IF_ERROR(state_.index.uploads().Insert(upload, envelope, state_.clock.Now()));
  RETURN_IF_ERROR(state_.CountIn(upload));
  state_.partials.insert_or_assign(upload.id, Partial{upload, std::make_shared<Sha256Stream>(), true});
  ++state_.account.of(upload.kind).offered;
  return OfferAnswer{.next_chunk = 0};
}

Status Arrivals::MakeRoom(const SpoolQuota::Wish& wish) {
  ASSIGN_OR_RETURN(const auto holding, state_.index.account().Held(wish.upload.device));
  ASSIGN_OR_RETURN(const auto room, state_.quota.RoomFor(wish, state_.account, holding));
  return departures_.MakeRoom(room, wish.upload.device);
}

Status Arrivals::Grow(const SpooledUpload& upload) {
  SpooledUpload longer = upload;
  ++longer.next_chunk;
  const uint64_t more = longer.HeldBytes() - upload.HeldBytes();
  if (more == 0) return {};
  Status room = MakeRoom({upload, upload.HeldBytes(), more});
  if (!room && room.error().code == Code::kQuotaExceeded)
    RETURN_IF_ERROR(departures_.DropOne(upload, Code::kQuotaExceeded));
  return room;
}

Result<SpoolState::Partial*> Arrivals::PartialOf(const UploadId& id) {
  if (auto found = state_.partials.find(id); found != state_.partials.end()) return &found->second;
  ASSIGN_OR_RETURN(const auto here, state_.index.uploads().Find(id));
  if (!here) return Fail(Code::kUnknownUpload, "upload {} was not offered", id.hex());
  if (here->state == UploadState::kComplete) return nullptr;
  Partial partial{*here, nullptr, here->next_chunk == 0};
  if (here->next_chunk == 0) partial.digest = std::make_shared<Sha256Stream>();
  return &state_.partials.emplace(id, std::move(partial)).first->second;
}

bool Arrivals::IsLast(const UploadId& id, uint32_t chunk) {
  const auto partial = PartialOf(id);
  return partial && *partial != nullptr && chunk + 1 == (*partial)->facts.chunk_count;
}

Result<AppendAnswer> Arrivals::Append(const UploadId& id, uint32_t chunk, ByteView ciphertext) {
  ASSIGN_OR_RETURN(Partial * partial, PartialOf(id));
  if (partial == nullptr) return AppendAnswer{.next_chunk = chunk + 1, .complete = true};
  const SpooledUpload before = partial->facts;
  if (chunk != before.next_chunk) {
    return Fail(Code::kChunkOutOfOrder, "upload {}: chunk {} came, chunk {} is next", id.hex(), chunk,
                before.next_chunk);
  }
  const size_t expected = before.ChunkBytes(chunk);
  if (ciphertext.size() != expected) {
    return Fail(ciphertext.size() > expected ? Code::kTooLarge : Code::kMalformed,
                "chunk {} of upload {} has {} bytes, its header says {}", chunk, id.hex(), ciphertext.size(), expected);
  }
  RETURN_IF_ERROR(Grow(before));
  ASSIGN_OR_RETURN(partial, PartialOf(id));  // it may have given way itself
  SpooledUpload& facts = partial->facts;
  RETURN_IF_ERROR(CatchUpDigest(*partial));
  if (facts.in_index) {
    partial->digest->Update(ciphertext);
  } else {
    state_.digests.Update(partial->digest, ciphertext);
  }
  if (auto stored = Store(facts, chunk, ciphertext); !stored) {
    partial->digest.reset();  // it is ahead of what is stored
    return Fail(std::move(stored).error());
  }
  ++facts.next_chunk;
  RETURN_IF_ERROR(state_.CountProgress(before, facts));
  if (facts.next_chunk == facts.chunk_count) return Finish(*partial);
  RETURN_IF_ERROR(state_.index.uploads().SetProgress(facts, state_.clock.Now()));
  return AppendAnswer{.next_chunk = facts.next_chunk};
}

Status Arrivals::CatchUpDigest(Partial& partial) {
  if (partial.digest) return {};
  const SpooledUpload& facts = partial.facts;
  auto digest = std::make_shared<Sha256Stream>();
  for (uint32_t chunk = 0; chunk < facts.next_chunk; ++chunk) {
    const auto bytes = facts.in_index ? state_.index.uploads().GetChunk(facts.id, chunk)
                                      : state_.files.Read(facts.id, facts.ChunkOffset(chunk), facts.ChunkBytes(chunk));
    RETURN_IF_ERROR(state_.index.status());
    if (!bytes) {
      RETURN_IF_ERROR(state_.StartAgain(partial.facts));  // `partial` is gone from here on
      return Fail(Code::kBusy, "the stored part of an upload cannot be read again: {}", bytes.error().ToString());
    }
    digest->Update(*bytes);
  }
  partial.digest = std::move(digest);
  return {};
}

Status Arrivals::Store(const SpooledUpload& facts, uint32_t chunk, ByteView ciphertext) {
  state_.quota.Wrote(ciphertext.size());
  if (facts.in_index) return state_.index.uploads().PutChunk(facts.id, chunk, ciphertext);
  // It started again within this batch: the file that lies there may be longer than what comes.
  if (state_.freed.erase(facts.id) > 0) RETURN_IF_ERROR(state_.files.Remove(facts.id));
  Status written = state_.files.Write(facts.id, facts.ChunkOffset(chunk), ciphertext);
  if (written) {
    state_.payload_trouble.reset();
  } else {
    state_.payload_trouble = written.error();
  }
  return written;
}

Result<AppendAnswer> Arrivals::Finish(Partial& partial) {
  SpooledUpload facts = partial.facts;
  const bool seen_whole = partial.seen_whole;
  state_.digests.Wait();
  const Digest digest = std::move(*partial.digest).Finish();
  state_.partials.erase(facts.id);  // `partial` is gone from here on
  if (digest != facts.ciphertext_digest) {
    RETURN_IF_ERROR(state_.StartAgain(facts));
    if (!seen_whole) return Fail(Code::kBusy, "the stored part of upload {} did not survive a restart", facts.id.hex());
    return Fail(Code::kDigestMismatch, "upload {} announced {}, received {}", facts.id.hex(),
                facts.ciphertext_digest.hex(), digest.hex());
  }
  facts.state = UploadState::kComplete;
  RETURN_IF_ERROR(state_.index.uploads().SetProgress(facts, state_.clock.Now()));
  if (!facts.in_index) state_.completed.insert(facts.id);
  state_.account.BecameComplete(facts.kind, facts.priority);
  return AppendAnswer{.next_chunk = facts.chunk_count, .complete = true};
}

}  // namespace tributary
