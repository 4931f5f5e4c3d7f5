#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/hop/client/dialer.h"
#include "protocol/hop/client/pace.h"

namespace tributary {

// The client's side of the hop, the same on a device and on a gateway: keeps one proven session to one server for as
// long as it lives, through restarts of either side and broken links, and hands every message to its parts (Courier,
// Fetcher, …). Legal call order: construct, AddPart, Start; then Send while `up()`. All on the loop's thread.
// Everything given to the constructor, and the parts, must outlive it. Does not promise delivery of a message: a part
// asks again after OnUp.
class HopClient final : private Dialer::Owner {
 public:
  struct Options {
    std::string endpoint;  // tcp://host:port
    Bytes server_key;      // the server's CURVE public key, 32 bytes
    // Other keys that it has said it would change to: tried in turn with the first when nobody answers.
    std::vector<Bytes> server_keys = {};
    Millis first_retry{200};           // backoff with full jitter from here …
    Millis retry_cap{30'000};          // … to here
    Millis handshake_timeout{10'000};  // from connecting to welcome
    Millis answer_timeout{60'000};     // a question, and since then no message and not one byte in either direction
    Millis check_in_interval{15'000};  // where the server does not name another
    // This client has the server's own identity and is a tool of whoever runs it (schema/hop.capnp, "Carriers").
    bool carrier = false;
    hop::VersionRange versions;
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
  struct Hooks {
    // Makes the content of each check-in.
    std::function<hop::CheckIn()> describe_self;
    // A newer publication came; it is not verified yet.
    std::function<void(ByteView signed_publication)> on_publication;
    // The ids from the server up to the aggregator, as far as it knows; this client's own is not among them. For a
    // gateway's HopServer::SetPath. May be empty.
    std::function<void(const std::vector<DeviceId>& path)> on_path = {};
    // The server, which `verified` names, will have this connection key from some day on; the client tries it too from
    // now on. For whoever keeps it over a restart (Options::server_keys). May be empty.
    std::function<void(const Bytes& key, const VerifiedIdentity& verified)> on_server_key = {};
    // The publication that this member holds, as it was signed: a server that is behind it asks. May be empty.
    std::function<Bytes()> held_publication = {};
  };

  HopClient(const Parts& parts, Options options, Hooks hooks);
  ~HopClient() override;

  void AddPart(Part& part) { listeners_.push_back(&part); }
  void Start();
  // Says goodbye and stays down.
  void Stop();
  bool up() const { return up_; }
  const hop::Welcome& welcome() const { return welcome_; }
  // Ask the server for a newer publication now.
  void CheckInNow();
  // `expects_answer`: silence for answer_timeout after it means that the session is dead.
  void Send(const hop::Message& message, ByteView bulk = {}, bool expects_answer = true);
  // Ends the session in order and begins a new one: for a part that lost track of what the server has of it.
  void Renew(const std::string& why);
  // Brings a sealed request for a certificate up: a member's own renewal, or one that a gateway passes on. `on_answer`
  // is called once, later: with the server's answer, or, when the session ended before, with kPending and when to ask
  // again. kUnreachable: there is no session. kBusy: too many wait.
  using OnEnrolled = std::function<void(const EnrolmentAnswer&)>;
  Status Enrol(const Bytes& sealed_request, OnEnrolled on_answer);
  // Bytes since the start, by purpose.
  const std::map<LinkPurpose, LinkBytes>& link() const { return dialer_.link(); }
  // So many of the bytes sent had been sent before.
  void CountResent(LinkPurpose purpose, uint64_t bytes) { dialer_.CountResent(purpose, bytes); }
  // Why the last session or attempt ended; for "why is nothing happening".
  const Error& last_problem() const { return last_problem_; }

 private:
  void OnDialled() override;
  Status OnGreeted(const VerifiedIdentity& server, const Bytes& transcript) override;
  void OnReceived(const hop::Message& message, ByteView bulk) override;
  Millis OnLost(const Error& why, RetryWindow window) override;

  void OnWelcome(const hop::Welcome& welcome);
  void OnAssignment(const hop::Assignment& assignment);
  // The server asks for the publication that this client holds.
  void ShowPublication();
  // false: the path leads back here, and the session is over.
  bool TakeTerms(const hop::Terms& terms);
  // The server will show these certificates one day; a chain that is not for the same server is ignored, and logged.
  void OnNextChain(const std::vector<Bytes>& chain);
  void OnEnrolAnswer(const hop::EnrolAnswer& answer);
  // The parts, and whoever asked for a certificate, hear that the session is over.
  void TellDown(bool was_up);
  void Asked();
  void Watch();

  Parts parts_;
  Options options_;
  Hooks hooks_;
  std::vector<Part*> listeners_;
  Dialer dialer_;
  bool up_ = false;  // welcomed
  Backoff backoff_;
  std::optional<VerifiedIdentity> server_;  // of this session
  hop::Welcome welcome_;
  bool asked_ = false;     // a question is open …
  Millis asked_since_{0};  // … since then
  uint64_t moved_ = 0;     // bytes that had moved on the connection when it was last looked at
  Millis check_in_interval_;
  Millis next_check_in_{0};
  bool shows_publication_ = false;  // with the next check-in
  std::optional<Millis> showed_publication_;
  std::multimap<Digest, OnEnrolled> enrolments_;  // asked for in this session and not answered
  Loop::TimerId watch_timer_ = 0;
  Error last_problem_{Code::kUnreachable, "not connected yet"};
};

}  // namespace tributary
