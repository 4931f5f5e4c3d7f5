#pragma once

#include <functional>
#include <string>

#include "protocol/hop/client/dialer.h"
#include "protocol/hop/client/pace.h"

namespace tributary {

// The client's side of the hop for somebody who has no certificate yet: connects with a connection key made for this
// one attempt, checks that the server is one of the fleet, hands over the sealed request, and asks again, with the very
// same bytes, as often as it is told to wait or the link fails, until there is a final answer. Legal call order:
// construct, Start; it stops by itself with the final answer. All on the loop's thread; everything given to the
// constructor must outlive it. Does not check the certificate that comes: it goes with keys that only its owner has
// (CompleteIdentity).
class ApplicantClient final : private Dialer::Owner {
 public:
  struct Options {
    std::string endpoint;           // tcp://host:port
    Bytes server_key;               // the server's CURVE public key, 32 bytes
    Millis first_retry{500};        // backoff with full jitter from here …
    Millis retry_cap{30'000};       // … to here
    Millis answer_timeout{40'000};  // from connecting to the answer; a server gives up on it after 30 s
    TransportOptions transport;
  };
  using Parts = Dialer::Parts;
  struct Hooks {
    // Once: issued, or refused for good. The client has stopped.
    std::function<void(const EnrolmentAnswer&)> on_end;
    // Each time that it is not over: why, and when it is asked again. For progress lines. May be empty.
    std::function<void(const Error& why, Millis again_in)> on_wait = {};
  };

  ApplicantClient(const Parts& parts, Options options, Bytes sealed_request, Hooks hooks);
  ~ApplicantClient() override;

  void Start() { dialer_.Start(); }
  void Stop();

 private:
  void OnDialled() override;
  Status OnGreeted(const VerifiedIdentity& server, const Bytes& transcript) override;
  void OnReceived(const hop::Message& message, ByteView bulk) override;
  Millis OnLost(const Error& why, RetryWindow window) override;

  Parts parts_;
  Options options_;
  Bytes request_;
  Hooks hooks_;
  Dialer dialer_;
  Backoff backoff_;
  Loop::TimerId patience_ = 0;  // how long this attempt waits for an answer
};

}  // namespace tributary
