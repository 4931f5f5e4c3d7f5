#include "protocol/hop/client/fetcher.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr int kAttempts = 2;

}  // namespace

Fetcher::Fetcher(HopClient& client, Loop& loop, Random& random, BlobStore& blobs, LinkBudget* budget)
    : client_(client), loop_(loop), random_(random), blobs_(blobs), budget_(budget) {
  client_.AddPart(*this);
}

Fetcher::~Fetcher() { loop_.Cancel(retry_timer_); }

void Fetcher::Fetch(const BlobRef& blob, Done done) {
  if (blobs_.Has(blob.digest)) return done(Status{});
  if (blob.size > limits::kBlobBytes) return done(Fail(Code::kTooLarge, "a blob of {} bytes", blob.size));
  wanted_.push_back({blob, std::move(done)});
  if (wanted_.size() == 1) OnUp();
}

void Fetcher::Cancel() {
  wanted_.clear();
  loop_.Cancel(retry_timer_);
}

void Fetcher::OnUp() {
  if (wanted_.empty()) return;
  asked_to_ = blobs_.PartSize(wanted_.front().blob.digest);
  Ask();
}

void Fetcher::OnDown() { loop_.Cancel(retry_timer_); }

void Fetcher::Ask() {
  if (!client_.up() || wanted_.empty()) return;
  const BlobRef& blob = wanted_.front().blob;
  const uint64_t have = blobs_.PartSize(blob.digest);
  if (have >= blob.size) return Finish(blobs_.Complete(blob));
  if (asked_to_ > have) return;  // that piece is on its way
  if (const Millis wait = budget_ ? budget_->Wait() : Millis(0); wait > Millis(0)) {
    loop_.Cancel(retry_timer_);
    retry_timer_ = loop_.After(wait, [this] { Ask(); });
    return;
  }
  const auto size = static_cast<uint32_t>(std::min<uint64_t>(limits::kPieceBytes, blob.size - have));
  if (budget_) budget_->Take(size);
  asked_to_ = have + size;
  client_.Send(hop::Fetch{blob.digest, have, size});
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
  if (wanted_.empty()) return;
  const BlobRef& blob = wanted_.front().blob;
  const uint64_t have = blobs_.PartSize(blob.digest);
  // A piece that is not the next one was asked for before a restart of this fetch.
  if (piece.digest != blob.digest || piece.offset != have || have + bulk.size() > blob.size) return;
  bytes_received_ += bulk.size();
  if (const Status stored = blobs_.AppendPart(blob.digest, piece.offset, bulk); !stored) return Finish(stored);
  Ask();
}

void Fetcher::Finish(const Status& status) {
  Wanted wanted = std::move(wanted_.front());
  wanted_.pop_front();
  if (!status) {
    LogFailure(LogLevel::kWarning, "fetch.failed", status.error(), {{"blob", wanted.blob.digest.hex()}});
    if (status.error().code == Code::kDigestMismatch && ++wanted.attempts < kAttempts) {
      wanted_.push_front(std::move(wanted));
      return OnUp();
    }
  }
  // The caller may ask for more in here; the next blob is begun only once.
  const bool idle = wanted_.empty();
  wanted.done(status);
  if (!idle) OnUp();
}

}  // namespace tributary
