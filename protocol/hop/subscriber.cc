#include "protocol/hop/subscriber.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {
namespace {

std::vector<BlobRef> BlobsOf(const Publication& publication) {
  std::vector<BlobRef> blobs;
  for (const PublishedTask& task : publication.tasks) {
    blobs.push_back(task.module);
    blobs.push_back(task.weights);
  }
  return blobs;
}

std::vector<Digest> DigestsOf(const Publication& publication) {
  std::vector<Digest> digests;
  for (const BlobRef& blob : BlobsOf(publication)) digests.push_back(blob.digest);
  return digests;
}

}  // namespace

Subscriber::Subscriber(Fetcher& fetcher, PublicationStore& store, BlobStore& blobs, const TrustAnchor& anchor,
                       const Clock& clock, OnAdopted on_adopted)
    : fetcher_(fetcher),
      store_(store),
      blobs_(blobs),
      anchor_(anchor),
      clock_(clock),
      on_adopted_(std::move(on_adopted)) {}

void Subscriber::Start() {
  if (store_.current()) on_adopted_(*store_.current());
}

void Subscriber::Consider(ByteView signed_publication) {
  auto opened = OpenPublication(signed_publication, anchor_, clock_.Now());
  if (!opened) {
    ++counts_.rejected;
    LogFailure(LogLevel::kError, "publication.rejected", opened.error());
    return;
  }
  if (opened->number < store_.number()) {
    ++counts_.rejected;
    LogFailure(
        LogLevel::kWarning, "publication.rejected",
        {Code::kRollback, "number " + std::to_string(opened->number) + " after " + std::to_string(store_.number())});
    return;
  }
  if (opened->number == store_.number() || (candidate_ && candidate_->publication.number >= opened->number)) return;
  fetcher_.Cancel();
  candidate_ = Candidate{std::move(*opened), ToBytes(signed_publication), {}};
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
      return;
    }
    FetchNext();
  });
}

void Subscriber::Adopt() {
  const Candidate candidate = std::move(*candidate_);
  candidate_.reset();
  const std::vector<Digest> held = store_.current() ? DigestsOf(*store_.current()) : std::vector<Digest>{};
  const auto newer = store_.Take(candidate.bytes, clock_.Now());
  if (!newer) {
    ++counts_.rejected;
    LogFailure(LogLevel::kError, "publication.not_kept", newer.error());
    return;
  }
  if (!*newer) return;
  ++counts_.adopted;
  previous_ = held;
  RetainBlobs();
  LogInfo("publication.adopted", {{"number", store_.number()}});
  on_adopted_(*store_.current());
}

void Subscriber::RetainBlobs() {
  std::vector<Digest> keep = DigestsOf(*store_.current());
  keep.insert(keep.end(), previous_.begin(), previous_.end());
  if (const Status retained = blobs_.RetainOnly(keep); !retained) {
    LogFailure(LogLevel::kWarning, "blobs.not_cleaned", retained.error());
  }
}

}  // namespace tributary
