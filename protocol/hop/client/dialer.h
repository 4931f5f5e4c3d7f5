#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/hop/handshake.h"
#include "protocol/transport/address_finder.h"
#include "protocol/transport/client_socket.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// Connects to one server of the fleet, again and again until it is stopped: says hello, checks the challenge, and hands
// everything that follows to its owner, who says how long to wait when the connection is lost. The counterpart of the
// server's Greeter; the same for a member (HopClient) and for an applicant (ApplicantClient). Legal call order:
// construct, Start; Send while `open()`. All on the loop's thread. Everything given to the constructor must outlive it.
// Does not notice a server that says nothing: the owner does, and calls Drop.
class Dialer final : private ClientSocket::Handler {
 public:
  struct Options {
    std::string endpoint;                       // tcp://host:port
    std::vector<Bytes> server_keys;             // CURVE public keys, at least one: tried in turn when nobody answers
    const SecretBytes* curve_secret = nullptr;  // its own, borrowed; null: a new one for each attempt
    hop::VersionRange versions = {};
    TransportOptions transport = {};
    Millis longest_wait{30'000};  // that a server may ask for, in whatever message
    // The owner hears at once when nobody takes connections there; else libzmq tries on, and the owner hears of silence.
    bool tell_refusal = false;
  };
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    const TrustAnchor& anchor;
  };
  class Owner {
   public:
    virtual ~Owner() = default;
    // An attempt has begun: hello was sent.
    virtual void OnDialled() = 0;
    // The server is of this fleet and has the key that was connected to: now say who you are, or ask. `transcript`: the
    // bytes that a proof signs. An error ends the attempt.
    virtual Status OnGreeted(const VerifiedIdentity& server, const Bytes& transcript) = 0;
    // Everything after that, but for a refusal of the session. `bulk` is valid during the call.
    virtual void OnReceived(const hop::Message& message, ByteView bulk) = 0;
    // The attempt, or the connection, is over. `window`: the server's wish. Returns after how long the next one begins.
    virtual Millis OnLost(const Error& why, RetryWindow window) = 0;
  };

  Dialer(const Parts& parts, Options options, Owner& owner);
  ~Dialer() override;

  void Start();
  // No call to the owner follows.
  void Stop();
  bool stopped() const { return state_ == State::kStopped; }
  void Send(const hop::Message& message, ByteView bulk = {});
  // Ends the attempt or connection, if there is one; the next begins when the owner says.
  void Drop(const Error& why, RetryWindow window = {});
  // Tries this key too from now on. false: it is known already. Few are kept; never forgets the one in use.
  bool AddServerKey(const Bytes& key);

  const std::string& endpoint() const { return options_.endpoint; }
  // Why nothing came in `waited`: nobody is there, or whoever is there has another key.
  Error Silence(Millis waited) const;
  // Bytes since the start, by purpose.
  const std::map<LinkPurpose, LinkBytes>& link() const { return link_; }
  void CountResent(LinkPurpose purpose, uint64_t bytes) { link_[purpose].resent += bytes; }
  // Bytes that moved on the connection there is now.
  uint64_t BytesMoved() const { return socket_ ? socket_->BytesMoved() : 0; }

 private:
  enum class State {
    kStopped,   // Start was not called, or Stop was
    kWaiting,   // for the time of the next attempt
    kFinding,   // the server's address is looked up
    kGreeting,  // hello sent, waiting for the challenge
    kOpen,      // the server has been checked
  };

  void OnMessage(ByteView message, ByteView bulk) override;
  void OnDisconnected() override;
  void OnNotConnected() override;
  bool at_work() const { return state_ == State::kGreeting || state_ == State::kOpen; }
  void Connect();
  void Dial(const std::string& address);
  Result<std::unique_ptr<ClientSocket>> OpenSocket(const std::string& address);
  Error WrongKey() const;
  Status OnChallenge(const hop::Message& message, ByteView bytes);
  // The socket may be the one whose message is being handled: it goes when that is over.
  void DropSocket();
  const Bytes& server_key() const { return options_.server_keys[key_in_use_]; }

  Parts parts_;
  Options options_;
  Owner& owner_;
  State state_ = State::kStopped;
  AddressFinder addresses_;
  std::unique_ptr<ClientSocket> socket_;
  Bytes own_key_;  // CURVE public key of this attempt
  Bytes hello_;    // of this attempt, as it was sent
  size_t key_in_use_ = 0;
  uint64_t attempt_ = 0;  // tells a posted clean-up that it came too late
  std::map<LinkPurpose, LinkBytes> link_;
  Loop::TimerId retry_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
