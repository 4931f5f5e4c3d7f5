#include "protocol/hop/client/subscriber.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"

namespace tributary {

Subscriber::Subscriber(Fetcher& fetcher, PublicationStore& store, BlobStore& blobs, const Clock& clock, Hooks hooks)
    : fetcher_(fetcher), store_(store), blobs_(blobs), clock_(clock), hooks_(std::move(hooks)) {}

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
  for (const BlobRef& blob : BlobsOf(*store_.current())) Mend(blob.digest);
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
  candidate_ = Candidate{std::move(*verified), ToBytes(publication), {}};
  for (const BlobRef& blob : BlobsOf(candidate_->publication)) {
    if (!blobs_.Has(blob.digest)) candidate_->missing.push_back(blob);
  }
  FetchNext();
}

void Subscriber::FetchNext() {
  if (candidate_->missing.empty()) return Adopt();
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
