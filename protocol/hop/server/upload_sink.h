#pragma once

#include <cstdint>
#include <functional>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"
#include "protocol/hop/messages.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// What a sink says to an offer.
struct OfferVerdict {
  enum class Kind {
    kResume,   // send from `next_chunk` on; equal to the chunk count: all is here, custody will follow
    kAlready,  // not needed; the sender deletes it
    kRefuse,
  };
  Kind kind = Kind::kRefuse;
  uint32_t next_chunk = 0;
  Refusal refusal;

  static OfferVerdict ResumeAt(uint32_t chunk) { return {Kind::kResume, chunk, {}}; }
  static OfferVerdict AlreadyHere() { return {Kind::kAlready, 0, {}}; }
  static OfferVerdict Refused(const Error& error, RetryWindow window = {}) {
    return {Kind::kRefuse, 0, {error.code, error.message, window}};
  }
};

// Where a hop server puts the uploads it is offered: a gateway's spool, an aggregator's intake. The server has verified
// the envelope's chain, role and signature before Offer, and gives chunks in order, each of the size that the header
// says. Called on the loop's thread; the callbacks must be run on the loop's thread too, exactly once, at any later
// time.
class UploadSink {
 public:
  virtual ~UploadSink() = default;
  virtual void Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
                     std::function<void(OfferVerdict)> answer) = 0;
  // `taken` is called when the chunk needs no memory any more (it is on disk); an error refuses the upload. Custody is
  // given by HopServer::GiveCustody, not by this.
  virtual void Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) = 0;
};

}  // namespace tributary
