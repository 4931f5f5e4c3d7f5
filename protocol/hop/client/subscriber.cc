#include "protocol/hop/client/subscriber.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/payload/version_codec.h"

namespace tributary {

Subscriber::Subscriber(Fetcher& fetcher, PublicationStore& store, BlobStore& blobs, const Clock& clock, Hooks hooks,
                       bool relays)
    : fetcher_(fetcher), store_(store), blobs_(blobs), clock_(clock), hooks_(std::move(hooks)), relays_(relays) {}

void Subscriber::Start() {
  if (!store_.current()) return;
  MendMissing();  // a damaged one may have been set aside in the last life of the process
  hooks_.on_adopted(*store_.current());
}

void Subscriber::Mend(const Digest& blob) {
  if (!store_.current() || blobs_.Has(blob)) return;
  if (std::ranges::find(mending_, blob, &BlobRef::digest) != mending_.end()) return;
  const std::vector<BlobRef> named = BlobsOf(*store_.current());
  const auto found = std::ranges::find(named, blob, &BlobRef::digest);
  if (found == named.end()) return;
  LogWarning("blob.mending", {{"blob", blob.hex()}, {"bytes", found->size}});
  mending_.push_back(*found);
  if (!candidate_) FetchAgain({*found});
}

void Subscriber::MendMissing() {
  if (!store_.current()) return;
  for (const PublishedTask& task : store_.current()->tasks) {
    Mend(task.module.digest);
    Mend(task.weights.digest);
    // Who is no relay may have had no use for it.
    if (task.compact && relays_) Mend(task.compact->blob.digest);
  }
}

void Subscriber::FetchAgain(const std::vector<BlobRef>& blobs) {
  for (const BlobRef& blob : blobs) {
    fetcher_.Fetch(blob, [this, blob](const Status& status) {
      // Wrong bytes again: the fetcher waits. A disk that takes nothing is asked again by MendMissing.
      if (!status && status.error().code == Code::kDigestMismatch) return FetchAgain({blob});
      std::erase(mending_, blob);
      if (!status)
        return LogFailure(LogLevel::kError, "blob.not_mended", status.error(), {{"blob", blob.digest.hex()}});
      Mended(blob);
    });
  }
}

void Subscriber::Mended(const BlobRef& blob) {
  LogInfo("blob.mended", {{"blob", blob.digest.hex()}});
  hooks_.on_mended(blob.digest);
}

void Subscriber::Refuse(const Error& why) {
  // The disk may take it at the next check-in: nobody is to blame.
  if (IsOfTheEnvironment(why.code) && (IsTransient(why.code) || why.code == Code::kPermissions))
    return LogFailure(LogLevel::kError, "publication.not_kept", why);
  ++counts_.rejected;
  ++counts_.rejected_by[why.code];
  counts_.last_rejection = Rejection{why, clock_.Now()};
  const bool stale = why.code == Code::kRollback || why.code == Code::kExpired;
  LogFailure(stale ? LogLevel::kWarning : LogLevel::kError, "publication.rejected", why);
}

void Subscriber::Consider(ByteView publication) {
  auto verified = store_.Verify(publication, clock_.Now());
  if (!verified) return Refuse(verified.error());
  if (!store_.IsNewer(*verified)) return;
  if (candidate_ && !IsNewer(*verified, candidate_->publication)) return;
  fetcher_.Cancel();
  candidate_ = Candidate{std::move(*verified), ToBytes(publication), {}, {}};
  for (const PublishedTask& task : candidate_->publication.tasks) Want(task);
  FetchNext();
}

void Subscriber::Want(const PublishedTask& task) {
  const auto fetch = [this](const BlobRef& blob) {
    std::vector<BlobRef>& missing = candidate_->missing;
    if (!blobs_.Has(blob.digest) && std::ranges::find(missing, blob) == missing.end()) missing.push_back(blob);
  };
  fetch(task.module);
  const bool here = blobs_.Has(task.weights.digest);
  const bool unpacks =
      !here && task.compact && (task.compact->codec == VersionCodec::kFloat16 || blobs_.Has(task.compact->base));
  if (task.compact && (unpacks || relays_)) fetch(task.compact->blob);
  if (unpacks)
    candidate_->unpacked.push_back(task);
  else
    fetch(task.weights);
}

void Subscriber::UnpackNext() {
  if (candidate_->unpacked.empty()) return Adopt();
  const PublishedTask task = std::move(candidate_->unpacked.back());
  candidate_->unpacked.pop_back();
  fetcher_.Make(
      task.weights, [task](BlobStore& blobs) { return UnpackVersion(task, blobs); },
      [this, task](const Status& made) {
        if (!made) candidate_->missing.push_back(task.weights);
        FetchNext();
      });
}

void Subscriber::FetchNext() {
  if (candidate_->missing.empty()) return UnpackNext();
  const BlobRef blob = candidate_->missing.back();
  candidate_->missing.pop_back();
  fetcher_.Fetch(blob, [this](const Status& status) {
    // A publication whose blobs cannot be had is dropped; the next check-in brings it, or a newer one, again.
    if (!status) {
      LogFailure(LogLevel::kError, "publication.incomplete", status.error());
      candidate_.reset();
      return FetchAgain(mending_);
    }
    FetchNext();
  });
}

void Subscriber::Adopt() {
  const Candidate candidate = std::move(*candidate_);
  candidate_.reset();
  const auto newer = store_.TakeAndRetain(candidate.bytes, clock_.Now(), blobs_);
  if (!newer) Refuse(newer.error());
  if (!newer || !*newer) return FetchAgain(mending_);
  ++counts_.adopted;
  LogInfo("publication.adopted", {{"number", store_.number()}});
  const std::vector<BlobRef> were_mending = std::exchange(mending_, {});
  hooks_.on_adopted(*store_.current());
  for (const BlobRef& blob : were_mending) {
    if (blobs_.Has(blob.digest)) Mended(blob);
  }
}

}  // namespace tributary
