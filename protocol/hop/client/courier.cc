#include "protocol/hop/client/courier.h"

#include <algorithm>

#include "protocol/base/log.h"

// What is offered, and what becomes of it. How chunks are sent is in courier_sending.cc.
namespace tributary {
namespace {

// Uploads that were refused for now stand in front of others in the source's list, and have to be read past. So many at
// most, so that reading stays cheap; then the rest waits until the first of them are tried again.
constexpr size_t kMostTrouble = 10'000;
constexpr size_t kMuchTrouble = 256;
// With that much to read past, uploads that end are not replaced one by one.
constexpr Millis kTroublePause{100};

}  // namespace

Courier::Courier(HopClient& client, Loop& loop, const Clock& clock, Random& random, UploadSource& source,
                 Options options, OnGone on_gone)
    : client_(client),
      loop_(loop),
      clock_(clock),
      random_(random),
      source_(source),
      options_(std::move(options)),
      on_gone_(std::move(on_gone)),
      window_(limits::kDefaultChunkBytes) {
  client_.AddPart(*this);
}

Courier::~Courier() {
  *alive_ = false;
  loop_.Cancel(retry_timer_);
  loop_.Cancel(send_timer_);
}

void Courier::Nudge() { OfferMore(); }
void Courier::OnUp() { OfferMore(); }

void Courier::OnDown() {
  under_way_.clear();
  order_.clear();
  credit_ = in_flight_ = 0;
  vanished_ = 0;
  no_room_for_.reset();
  window_ = limits::kDefaultChunkBytes;
  loop_.Cancel(retry_timer_);
  loop_.Cancel(send_timer_);
}

void Courier::OfferMore() {
  loop_.Cancel(retry_timer_);
  if (!client_.up()) return;
  no_room_for_.reset();
  if (under_way_.size() >= 2 * options_.max_under_way) {
    no_room_for_ = Priority::kControl;
    return;
  }
  const size_t limit = 2 * options_.max_under_way + leaving_.size() + std::min(trouble_.size(), kMostTrouble);
  const auto pending = source_.Pending(limit);
  if (!pending) {
    LogFailure(LogLevel::kError, "courier.blocked", pending.error());
    retry_timer_ = loop_.After(options_.first_retry, [this] { OfferMore(); });
    return;
  }
  const Millis now = clock_.Monotonic();
  Millis next_try = Millis::max();
  std::unordered_set<UploadId, IdHash> listed;
  for (const SpooledUpload& upload : *pending) listed.insert(upload.id);
  if (pending->size() < limit) ForgetAllBut(listed);
  for (const SpooledUpload& upload : *pending) {
    if (under_way_.contains(upload.id) || leaving_.contains(upload.id)) continue;
    // In the order of priorities: who comes behind finds no room either.
    if (!HasRoom(upload.priority)) {
      no_room_for_ = upload.priority;
      break;
    }
    if (const auto trouble = trouble_.find(upload.id); trouble != trouble_.end() && trouble->second.not_before > now) {
      next_try = std::min(next_try, trouble->second.not_before);
      continue;
    }
    const Millis wait = options_.wait_before ? options_.wait_before(upload) : Millis(0);
    if (wait > Millis(0)) {
      next_try = std::min(next_try, now + wait);
      continue;
    }
    if (!Offer(upload)) return;
  }
  if (next_try != Millis::max()) retry_timer_ = loop_.After(next_try - now, [this] { OfferMore(); });
}

bool Courier::Offer(const SpooledUpload& upload) {
  auto envelope = source_.ReadEnvelope(upload.id);
  if (!envelope) {
    OnUnreadable(upload.id, envelope.error());
    return true;
  }
  const Place place{upload.priority, ++last_offer_};
  under_way_.emplace(upload.id, UnderWay{.facts = upload, .place = place});
  order_.emplace(place, upload.id);
  ++counts_.offered;
  client_.Send(hop::Offer{std::move(*envelope)});
  return client_.up();
}

// Only what is as urgent, or more, takes room from an upload. Uploads are offered ahead of their turn as far as the
// link is about to carry them; more would only hold credit that the server could give to others.
bool Courier::HasRoom(Priority priority) const {
  size_t count = 0;
  uint64_t unsent = 0;
  for (const auto& [place, id] : order_) {
    if (place.first > priority) break;
    ++count;
    unsent += under_way_.at(id).Unsent();
  }
  return under_way_.size() < 2 * options_.max_under_way && count < options_.max_under_way && unsent < 2 * window_;
}

void Courier::ForgetAllBut(const std::unordered_set<UploadId, IdHash>& listed) {
  const auto gone = [&](const auto& entry) { return !listed.contains(entry.first) && !leaving_.contains(entry.first); };
  std::erase_if(trouble_, gone);
  std::erase_if(sent_, gone);
  std::vector<UploadId> vanished;
  for (const auto& entry : under_way_) {
    if (gone(entry)) vanished.push_back(entry.first);
  }
  for (const UploadId& upload : vanished) ForgetVanished(upload);
}

// The source dropped it (its base version is no longer accepted, or somebody gave it up). The server cannot be told so
// within the session, and allows a session only so many.
void Courier::ForgetVanished(const UploadId& upload) {
  if (!Remove(upload)) return;
  trouble_.erase(upload);
  sent_.erase(upload);
  if (++vanished_ < options_.max_under_way) return;
  vanished_ = 0;
  loop_.Post([this, alive = alive_] {
    if (*alive) client_.Renew("many uploads that were under way are no longer in the spool");
  });
}

void Courier::OnMessage(const hop::Message& message, ByteView) {
  if (const auto* credit = std::get_if<hop::Credit>(&message)) {
    OnCredit(*credit);
  } else if (const auto* resume = std::get_if<hop::Resume>(&message)) {
    OnResume(*resume);
  } else if (const auto* custody = std::get_if<hop::Custody>(&message)) {
    HandOver(custody->upload);
  } else if (const auto* already = std::get_if<hop::Already>(&message)) {
    HandOver(already->upload);
  } else if (const auto* refuse = std::get_if<hop::Refuse>(&message)) {
    OnRefuse(*refuse);
  }
}

void Courier::OnRefuse(const hop::Refuse& refuse) {
  if (!under_way_.contains(refuse.upload)) return;
  const Error error{refuse.refusal.code, refuse.refusal.sentence};
  ++counts_.refused[error.code];
  if (!IsTransient(error.code)) return GiveUp(refuse.upload, error);
  Trouble& trouble = Postpone(refuse.upload, refuse.refusal.retry);
  const bool bytes_are_bad =
      error.code == Code::kDigestMismatch && ++trouble.digest_mismatches >= options_.max_digest_mismatches;
  if (bytes_are_bad) return GiveUp(refuse.upload, error);
  SendChunks();
  if (trouble_.size() < kMuchTrouble) return OfferMore();
  loop_.Cancel(retry_timer_);
  retry_timer_ = loop_.After(kTroublePause, [this] { OfferMore(); });
}

Courier::Trouble& Courier::Postpone(const UploadId& upload, RetryWindow window) {
  Remove(upload);
  Trouble& trouble =
      trouble_.try_emplace(upload, Trouble{Millis(0), Backoff(options_.first_retry, options_.retry_cap)}).first->second;
  const Millis delay = std::max(trouble.backoff.Next(random_), Backoff::Within(window, random_));
  trouble.not_before = clock_.Monotonic() + delay;
  return trouble;
}

// Damage is for good. A disk that does not answer just now may do so later; and what the source lists but does not know
// has left it since, or will be found damaged by the source.
void Courier::OnUnreadable(const UploadId& upload, const Error& error) {
  if (error.code != Code::kUnknownUpload && !IsTransient(error.code)) return GiveUp(upload, error);
  if (error.code == Code::kUnknownUpload) {
    ForgetVanished(upload);
  } else {
    LogFailure(LogLevel::kWarning, "courier.unreadable", error, {{"upload", upload.hex()}});
  }
  Postpone(upload);
  loop_.Post([this, alive = alive_] {
    if (*alive) OfferMore();  // sets the time for the next try
  });
}

bool Courier::Remove(const UploadId& upload) {
  const auto found = under_way_.find(upload);
  if (found == under_way_.end()) return false;
  in_flight_ -= found->second.in_flight;
  order_.erase(found->second.place);
  under_way_.erase(found);
  return true;
}

void Courier::HandOver(const UploadId& upload) {
  if (!Remove(upload)) return;
  sent_.erase(upload);
  ++counts_.in_custody;
  leaving_.insert(upload);
  source_.Delivered(upload, [this, alive = alive_, &loop = loop_, upload](const Status& status) {
    loop.Post([this, alive, upload, status] {
      if (!*alive) return;
      leaving_.erase(upload);
      // The upload is safe above; if the disk kept it here, the next offer is answered `already`. If it left the source
      // meanwhile, that is as good.
      if (!status && status.error().code != Code::kUnknownUpload) {
        LogFailure(LogLevel::kError, "courier.not_deleted", status.error(), {{"upload", upload.hex()}});
        Postpone(upload);
        return OfferMore();
      }
      trouble_.erase(upload);
      on_gone_(upload, nullptr);
      OfferMore();
    });
  });
  SendChunks();
  OfferMore();
}

void Courier::GiveUp(const UploadId& upload, const Error& error) {
  Remove(upload);
  trouble_.erase(upload);
  sent_.erase(upload);
  LogFailure(LogLevel::kError, "upload.dead_letter", error, {{"upload", upload.hex()}});
  leaving_.insert(upload);
  source_.Drop(upload, error.code, [this, alive = alive_, &loop = loop_, upload, error](const Status& status) {
    loop.Post([this, alive, upload, error, status] {
      if (!*alive) return;
      leaving_.erase(upload);
      if (!status && status.error().code != Code::kUnknownUpload) {
        LogFailure(LogLevel::kError, "courier.not_deleted", status.error(), {{"upload", upload.hex()}});
        Postpone(upload);
        return OfferMore();
      }
      on_gone_(upload, &error);
      OfferMore();
    });
  });
}

}  // namespace tributary
