#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "protocol/hop/client/pace.h"
#include "protocol/hop/messages.h"
#include "protocol/transport/client_socket.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The client's side of the hop for somebody who has no certificate yet: connects with a connection key made for this
// one attempt, checks that the server is one of the fleet, hands over the sealed request, and asks again, with the very
// same bytes, as often as it is told to wait or the link fails, until there is a final answer. Legal call order:
// construct, Start; it stops by itself with the final answer. All on the loop's thread; everything given to the
// constructor must outlive it. Does not check the certificate that comes: it goes with keys that only its owner has
// (protocol/enrol CompleteIdentity).
class ApplicantClient final : private ClientSocket::Handler {
 public:
  struct Options {
    std::string endpoint;           // tcp://host:port
    Bytes server_key;               // the server's CURVE public key, 32 bytes
    Millis first_retry{500};        // backoff with full jitter from here …
    Millis retry_cap{30'000};       // … to here
    Millis answer_timeout{40'000};  // from connecting to the answer; a server gives up on it after 30 s
    TransportOptions transport;
  };
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    const TrustAnchor& anchor;
  };
  struct Hooks {
    // Once: issued, or refused for good. The client has stopped.
    std::function<void(const EnrolmentAnswer&)> on_end;
    // Each time that it is not over: why, and when it is asked again. For progress lines. May be empty.
    std::function<void(const Error& why, Millis again_in)> on_wait = {};
  };

  ApplicantClient(const Parts& parts, Options options, Bytes sealed_request, Hooks hooks);
  ~ApplicantClient() override;

  void Start();
  void Stop();

 private:
  enum class State {
    kStopped,   // Start was not called, or Stop was, or the final answer came
    kWaiting,   // for the time to ask again
    kGreeting,  // hello sent, waiting for the challenge
    kAsking,    // request sent, waiting for the answer
  };

  void OnMessage(ByteView message, ByteView bulk) override;
  void OnDisconnected() override;
  void Connect();
  Status OnGreeted(const hop::Message& message);
  void OnAnswer(const EnrolmentAnswer& answer);
  // The attempt is over; the next is in `window`, or after the backoff.
  void Wait(const Error& why, RetryWindow window = {});
  // The socket may be the one whose message is being handled: it goes when that is over.
  void DropSocket();
  void Send(const hop::Message& message);

  Parts parts_;
  Options options_;
  Bytes request_;
  Hooks hooks_;
  State state_ = State::kStopped;
  std::unique_ptr<ClientSocket> socket_;
  uint64_t attempt_ = 0;
  Backoff backoff_;
  Loop::TimerId timer_ = 0;  // the next attempt's, or this one's patience
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
