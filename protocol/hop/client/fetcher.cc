#include "protocol/hop/client/fetcher.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr int kAttempts = 2;
constexpr Millis kFirstPause{30'000};
constexpr Millis kLongestPause{3'600'000};
// Publications name the blobs, so there are few; the pauses of former ones are forgotten.
constexpr size_t kMostPauses = 64;

}  // namespace

Fetcher::Fetcher(HopClient& client, Loop& loop, Random& random, BlobStore& blobs, Executor& disk, LinkBudget* budget)
    : client_(client), loop_(loop), random_(random), blobs_(blobs), disk_(disk), budget_(budget) {
  client_.AddPart(*this);
}

Fetcher::~Fetcher() {
  *wanted_at_disk_ = false;
  loop_.Cancel(retry_timer_);
}

void Fetcher::Fetch(const BlobRef& blob, Done done) {
  if (blobs_.Has(blob.digest)) return done(Status{});
  if (blob.size > limits::kBlobBytes) return done(Fail(Code::kTooLarge, "a blob of {} bytes", blob.size));
  wanted_.push_back({blob, std::move(done)});
  if (wanted_.size() == 1) Begin();
}

void Fetcher::Make(const BlobRef& blob, std::function<Status(BlobStore&)> make, Done done) {
  if (blobs_.Has(blob.digest)) return done(Status{});
  wanted_.push_back({blob, std::move(done), std::move(make)});
  if (wanted_.size() == 1) Begin();
}

void Fetcher::Cancel() {
  wanted_.clear();
  *wanted_at_disk_ = false;
  wanted_at_disk_ = std::make_shared<bool>(true);
  at_disk_ = false;
  loop_.Cancel(retry_timer_);
}

template <class T>
void Fetcher::OnDisk(std::function<T(BlobStore&)> work, std::function<void(const T&)> then) {
  at_disk_ = true;
  disk_.Post([this, &loop = loop_, blobs = blobs_, wanted = wanted_at_disk_, work = std::move(work),
              then = std::move(then)]() mutable {
    const T result = work(blobs);
    loop.Post([this, wanted, result, then = std::move(then)] {
      if (!*wanted) return;
      at_disk_ = false;
      then(result);
    });
  });
}

void Fetcher::Begin() {
  if (const auto& make = wanted_.front().make)
    return OnDisk<Status>(make, [this](const Status& made) { Finish(made); });
  OnDisk<uint64_t>([digest = wanted_.front().blob.digest](BlobStore& blobs) { return blobs.PartSize(digest); },
                   [this](const uint64_t& here) {
                     have_ = asked_to_ = here;
                     Ask();
                   });
}

void Fetcher::OnUp() {
  asked_to_ = have_;
  Ask();
}

void Fetcher::OnDown() { loop_.Cancel(retry_timer_); }

void Fetcher::Ask() {
  if (!client_.up() || wanted_.empty() || at_disk_) return;
  const BlobRef& blob = wanted_.front().blob;
  if (have_ >= blob.size) {
    return OnDisk<Status>([blob](BlobStore& blobs) { return blobs.Complete(blob); },
                          [this](const Status& complete) { Finish(complete); });
  }
  if (asked_to_ > have_) return;  // that piece is on its way
  if (const Millis wait = Wait(); wait > Millis(0)) {
    loop_.Cancel(retry_timer_);
    retry_timer_ = loop_.After(wait, [this] { Ask(); });
    return;
  }
  const auto size = static_cast<uint32_t>(std::min<uint64_t>(limits::kPieceBytes, blob.size - have_));
  if (budget_) budget_->Take(size);
  asked_to_ = have_ + size;
  const bool doubted = have_ == 0 && (wanted_.front().attempts > 0 || pauses_.contains(blob.digest));
  client_.Send(hop::Fetch{blob.digest, have_, size, doubted});
}

Millis Fetcher::Wait() {
  const auto pause = pauses_.find(wanted_.front().blob.digest);
  const Millis left = pause == pauses_.end() ? Millis(0) : pause->second.end - loop_.clock().Monotonic();
  return std::max(left, budget_ ? budget_->Wait() : Millis(0));
}

void Fetcher::MakePause(const Digest& blob) {
  if (pauses_.size() >= kMostPauses) pauses_.clear();
  Pause& pause = pauses_[blob];
  pause.length = std::clamp(2 * pause.length, kFirstPause, kLongestPause);
  pause.end = loop_.clock().Monotonic() + pause.length;
}

void Fetcher::OnMessage(const hop::Message& message, ByteView bulk) {
  if (const auto* piece = std::get_if<hop::Piece>(&message)) return OnPiece(*piece, bulk);
  const auto* refused = std::get_if<hop::FetchRefused>(&message);
  if (!refused || wanted_.empty() || refused->digest != wanted_.front().blob.digest) return;
  // Whatever the reason, the server may have the blob later: a gateway fetches it when its own uplink allows.
  loop_.Cancel(retry_timer_);
  const Millis delay = std::max(Millis(200), Backoff::Within(refused->refusal.retry, random_));
  retry_timer_ = loop_.After(delay, [this] { OnUp(); });
}

void Fetcher::OnPiece(const hop::Piece& piece, ByteView bulk) {
  if (wanted_.empty() || at_disk_) return;
  const BlobRef& blob = wanted_.front().blob;
  // A piece that is not the next one was asked for before a restart of this fetch.
  if (piece.digest != blob.digest || piece.offset != have_ || have_ + bulk.size() > blob.size) return;
  bytes_received_ += bulk.size();
  OnDisk<Status>([digest = blob.digest, offset = have_,
                  bytes = ToBytes(bulk)](BlobStore& blobs) { return blobs.AppendPart(digest, offset, bytes); },
                 [this, size = bulk.size()](const Status& stored) {
                   if (!stored) return Finish(stored);
                   have_ += size;
                   Ask();
                 });
}

void Fetcher::Finish(const Status& status) {
  Wanted wanted = std::move(wanted_.front());
  wanted_.pop_front();
  if (!status) {
    LogFailure(LogLevel::kWarning, "fetch.failed", status.error(), {{"blob", wanted.blob.digest.hex()}});
    if (status.error().code == Code::kDigestMismatch && !wanted.make && ++wanted.attempts < kAttempts) {
      wanted_.push_front(std::move(wanted));
      return Begin();
    }
    if (status.error().code == Code::kDigestMismatch && !wanted.make) MakePause(wanted.blob.digest);
  } else {
    pauses_.erase(wanted.blob.digest);
  }
  // The caller may ask for more in here; the next blob is begun only once.
  const bool idle = wanted_.empty();
  wanted.done(status);
  if (!idle) Begin();
}

}  // namespace tributary
