#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/hop/server/server_options.h"
#include "protocol/transport/server_socket.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// The counters of a hop server since its start, and its sizes now. Value type.
struct HopServerCounts {
  uint64_t sessions = 0;                       // now, proven
  uint64_t unproven = 0;                       // connections, now
  uint64_t handshakes = 0;                     // welcomed since the start
  uint64_t identity_twice = 0;                 // times that a member's connections were seen to throw each other out
  uint64_t chunk_bytes = 0;                    // received
  uint64_t piece_bytes = 0;                    // sent
  uint64_t credit_in_use = 0;                  // bytes
  std::map<LinkPurpose, LinkBytes> link;       // `up` came from clients; they know themselves what they sent twice
  std::map<Code, uint64_t> refused;            // sessions and uploads, by reason
  std::map<TurnedAway, uint64_t> turned_away;  // connections and requests, before any proof
};

// A refusal that passes names when to come back; the windows spread clients, so that they do not return together.
RetryWindow WindowFor(Code code);
// As it is told to a client.
Refusal RefusalOf(const Error& error);

// One connection that said hello, as a hop server sees it. The parts of the server (greeter.h, upload_port.h,
// down_port.h, registrar.h) keep their own records of it by its serial.
struct Session {
  std::string route;
  uint64_t serial = 0;  // tells this session from a later one with the same route
  Bytes curve_public_key;
  int connection = -1;
  bool proven = false;
  bool carrier = false;                 // proven, with the server's own identity
  VerifiedIdentity member;              // once it is proven
  std::optional<TokenBucket> messages;  // of a proven one: how many it may still send, chunks apart
  Millis last_heard{0};
  Millis patience{0};                // how long silence is borne before the proof
  Millis check_in{0};                // how often it was told to check in
  uint64_t sent = 0;                 // bytes queued for it
  uint64_t promised = 0;             // bytes that are being read for it
  uint64_t received = 0;             // bytes that had come when IsArriving was last asked
  uint64_t received_at_message = 0;  // bytes that had come with the last whole message, while it had credit

  // Whether it brings what others made.
  bool BringsOthers() const { return carrier || member.subject.role == Role::kGateway; }
};

// Tells a program that connects again now and then from two that use one identity: those end each other's sessions as
// fast as they can. One thread; the clock must outlive it.
class IdentityWatch {
 public:
  explicit IdentityWatch(const Clock& clock);
  // Whoever wants to hear of members of whom there seem to be two.
  void Tell(std::function<void(const DeviceId&)> tell) { tell_ = std::move(tell); }
  // A newer session of the member ended one on which it was heard then, by the monotonic clock. Whether there seem to
  // be two of it.
  bool ThrownOut(const DeviceId& member, Millis last_heard);

 private:
  const Clock& clock_;
  std::function<void(const DeviceId&)> tell_ = [](const DeviceId&) {};
  Recent<TokenBucket> thrown_out_;  // by member: its living sessions that a newer one has ended
};

// The connections of a hop server: sends on them, ends those that are silent, misbehave or have lost their standing,
// and tells the server's parts of every end. Legal call order: construct, AddPart, Listen, then the rest, all on the
// loop's thread. Everything given to the constructor, and the parts, must outlive it; a `Session&` is valid until the
// session is closed or forgotten. Does not promise delivery: a client learns everything again when it comes back.
class Sessions {
 public:
  using Route = std::string;
  class Part {
   public:
    virtual ~Part() = default;
    // The session is over, and cannot be found any more.
    virtual void OnForgotten(const Session& session) = 0;
    // Asked of every session once a second.
    enum class Use {
      kFine,       // this part has nothing against it
      kArriving,   // it looked idle, but bytes came meanwhile: it stays, whatever else there is
      kHoldingUp,  // it holds credit that others wait for, and does not use it: it ends
    };
    virtual Use OnSweep(Session& /*session*/, Millis /*now*/) { return Use::kFine; }
  };

  Sessions(Loop& loop, const Clock& clock, const Identity& identity, const HopServerOptions& options);
  ~Sessions();

  // Shared by all parts of the server.
  Loop& loop() const { return loop_; }
  const Clock& clock() const { return clock_; }
  const Identity& identity() const { return identity_; }
  const HopServerOptions& options() const { return options_; }
  HopServerCounts& counts() { return counts_; }
  // With those that only the socket knows.
  const HopServerCounts& CountAll();
  // After Listen.
  ServerSocket& socket() const { return *socket_; }
  const Bytes& curve_public_key() const { return curve_public_key_; }

  IdentityWatch& identity_watch() { return identity_watch_; }
  void AddPart(Part& part) { listeners_.push_back(&part); }
  // kPortInUse, kInvalidArgument.
  Status Listen(ServerSocket::Handler& handler);

  // A new one, not proven. When there are too many of those, the oldest gives way.
  Session& Add(const ServerSocket::Peer& peer);
  // It is a member's from now on, or a carrier's. A member has one session: an older one of it ends.
  void Prove(Session& session, VerifiedIdentity member, bool carrier);
  // nullptr: it is over.
  Session* Find(const Route& route);
  Session* Find(const Route& route, uint64_t serial);
  // Every proven one. `visit` must not end any.
  void ForEachProven(const std::function<void(Session&)>& visit);
  // Ends every proven session that `check` finds fault with.
  void CloseThose(const std::function<Status(const Session&)>& check);
  // Ends those of members whose certificates have ended or were revoked.
  void CloseFallen();

  void Send(const Route& route, const hop::Message& message, ByteView bulk = {});
  // Whether so much more may be queued for this member.
  bool CanTake(const Session& session, size_t bytes) const;
  // Whether a message is under way on its connection, and more of it came since this was last asked.
  bool IsArriving(Session& session);
  // A whole message came on it. `has_credit`: chunks may come too.
  void Heard(Session& session, bool has_credit);
  // Says why, and ends it; also for a route without a session.
  void Close(Route route, const Error& error);
  // Ends it without a word.
  void Forget(Route route);

 private:
  // Somebody who has proven nothing is refused.
  void OnStranger(const Route& route, const Error& error);
  void Sweep();
  std::optional<Error> Overdue(Session& session, Millis now);

  Loop& loop_;
  const Clock& clock_;
  const Identity& identity_;
  const HopServerOptions& options_;
  HopServerCounts counts_;
  std::vector<Part*> listeners_;
  Bytes curve_public_key_;
  std::unordered_map<Route, std::unique_ptr<Session>> sessions_;
  std::map<uint64_t, Route> unproven_;  // by serial: the oldest first
  std::unordered_map<DeviceId, Route, IdHash> by_member_;
  IdentityWatch identity_watch_;
  Millis next_standing_{0};  // when CloseFallen is due again
  uint64_t last_serial_ = 0;
  Loop::TimerId sweep_timer_ = 0;
  std::unique_ptr<ServerSocket> socket_;  // the last member: its end may still tell of connections
};

}  // namespace tributary
