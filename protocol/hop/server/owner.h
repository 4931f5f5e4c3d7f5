#pragma once

#include <cstdint>
#include <functional>

#include "protocol/envelope/envelope.h"
#include "protocol/hop/messages.h"
#include "protocol/spool/spooled_upload.h"
#include "protocol/trust/identity/certificate.h"

// The owner of a hop server (a gateway, an aggregator) takes part in the protocol through these three interfaces. All
// are called on the loop's thread; callbacks that they are given must be run there too, at any later time.
namespace tributary {

// Takes the uploads that are offered: a gateway's spool, an aggregator's intake. The server has verified the envelope's
// chain, role and signature before Offer, and gives chunks in order, each of the size that the header says. Every
// callback must be run exactly once.
class UploadSink {
 public:
  virtual ~UploadSink() = default;
  // `answer`: what to do with the upload, or why it is refused.
  virtual void Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
                     std::function<void(Result<OfferAnswer>)> answer) = 0;
  // `taken` is called when the chunk needs no memory any more (it is on disk); an error refuses the upload. Custody is
  // given by HopServer::GiveCustody, not by this.
  virtual void Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) = 0;
};

// Takes requests for certificates: the aggregator opens and decides them, a gateway passes them on (gateway/relay). A
// request is known by its digest; who asks again sends the same bytes. The callback must be run at most once.
class EnrolmentDesk {
 public:
  virtual ~EnrolmentDesk() = default;
  // `via`: the direct peer it came from; empty for an applicant that is connected directly.
  virtual void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
                       std::function<void(const EnrolmentAnswer&)> answer) = 0;
};

// Hears of what the server does by itself.
class HopServerObserver {
 public:
  virtual ~HopServerObserver() = default;
  // The first of a gateway's states is its own, and names this server as its parent.
  virtual void OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) = 0;
  // The member holds a newer publication than this server, or another one of the same number. True: it is asked for it,
  // and may bring it with its next check-in.
  virtual bool WantsPublication(const VerifiedIdentity& /*member*/, const hop::CheckIn& /*check_in*/) { return false; }
  // An upload was refused before the sink saw it. `subject` is null when nothing of it can be believed.
  virtual void OnRefusedUpload(const UploadSubject* subject, const Error& error) = 0;
  // A blob that was asked for is not held (kUnknownBlob), or its file was damaged and set aside (kDamagedBlob).
  virtual void OnMissingBlob(const Digest& /*blob*/, const Error& /*why*/) {}
  // Connections of this member throw each other out again and again. At most once a minute.
  virtual void OnIdentityTwice(const DeviceId& /*member*/) {}
};

}  // namespace tributary
