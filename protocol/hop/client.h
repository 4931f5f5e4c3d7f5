#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "protocol/hop/backoff.h"
#include "protocol/hop/messages.h"
#include "protocol/seal/identity.h"
#include "protocol/transport/client_socket.h"

namespace tributary {

// The client's side of the hop, the same on a device and on a gateway: keeps one proven session to one server for as
// long as it lives, through restarts of either side and broken links, and hands what comes to its parts (Courier,
// Fetcher, …). Legal call order: construct, AddPart, Start; then Send while `up()`. All on the loop's thread.
// Everything given to the constructor, and the parts, must outlive it. Does not promise delivery of a message: a part
// asks again after OnUp.
class HopClient final : private ClientSocket::Handler {
 public:
  struct Options {
    std::string endpoint;              // tcp://host:port
    Bytes server_key;                  // the server's CURVE public key, 32 bytes
    Millis first_retry{200};           // backoff with full jitter from here …
    Millis retry_cap{30'000};          // … to here
    Millis handshake_timeout{10'000};  // from connecting to welcome
    Millis answer_timeout{60'000};     // a question without any message since
    Millis check_in_interval{15'000};
    TransportOptions transport;
  };
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    const Identity& identity;
  };
  class Part {
   public:
    virtual ~Part() = default;
    // A session is there: ask (again) for what is wanted.
    virtual void OnUp() {}
    // The session is gone; nothing asked on it will be answered.
    virtual void OnDown() {}
    // Everything past the handshake. `bulk` is valid during the call.
    virtual void OnMessage(const hop::Message& message, ByteView bulk) = 0;
  };
  // What goes into each check-in, and where a newer publication goes (not verified yet).
  struct Hooks {
    std::function<hop::CheckIn()> describe_self;
    std::function<void(ByteView signed_publication)> on_publication;
  };

  HopClient(const Parts& parts, Options options, Hooks hooks);
  ~HopClient() override;

  void AddPart(Part& part) { listeners_.push_back(&part); }
  void Start();
  // Says goodbye and stays down.
  void Stop();
  bool up() const { return state_ == State::kUp; }
  const hop::Welcome& welcome() const { return welcome_; }
  // Ask the server for a newer publication now.
  void CheckInNow();
  // `expects_answer`: silence for answer_timeout after it means that the session is dead.
  void Send(const hop::Message& message, ByteView bulk = {}, bool expects_answer = true);
  // Why the last session or attempt ended; for "why is nothing happening".
  const Error& last_problem() const { return last_problem_; }

 private:
  enum class State {
    kStopped,   // Start was not called, or Stop was
    kWaiting,   // for the backoff to pass
    kGreeting,  // hello sent, waiting for the challenge
    kProving,   // proof sent, waiting for the welcome
    kUp,        // welcomed
  };

  void OnMessage(ByteView message, ByteView bulk) override;
  void Connect();
  Status OnChallenge(const hop::Challenge& challenge);
  void OnWelcome(const hop::Welcome& welcome);
  void OnAssignment(const hop::Assignment& assignment);
  void Down(const Error& why, RetryWindow window = {});
  void Watch();

  Parts parts_;
  Options options_;
  Hooks hooks_;
  std::vector<Part*> listeners_;
  State state_ = State::kStopped;
  std::unique_ptr<ClientSocket> socket_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  uint64_t attempt_ = 0;  // tells a posted clean-up that it came too late
  Backoff backoff_;
  hop::Welcome welcome_;
  bool asked_ = false;     // a question is open …
  Millis asked_since_{0};  // … since then
  Millis last_check_in_{0};
  Loop::TimerId retry_timer_ = 0;
  Loop::TimerId watch_timer_ = 0;
  Error last_problem_{Code::kUnreachable, "not connected yet"};
};

}  // namespace tributary
