#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "protocol/hop/server/upload_port.h"
#include "protocol/hop/server/registrar.h"
#include "protocol/hop/handshake.h"
#include "protocol/hop/messages.h"
#include "protocol/hop/server/upload_sink.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/base/recent.h"
#include "protocol/transport/server_socket.h"

namespace tributary {

// The server's side of the hop, the same at a gateway and at the aggregator: proves who connects, serves the
// publication and blobs, takes uploads into a sink under credit, and gives custody. Legal call order: construct,
// Listen, then the rest, all on the loop's thread. Everything in Parts must outlive it. Memory: one small session per
// connection, and never more chunk bytes than Options::credit_bytes over all of them. Does not promise custody: the
// owner says so with GiveCustody, after its own fsync or checkpoint. One upload may come over several connections at
// once (a carried disk, while the uplink is back): each is answered, and the first to bring a chunk has brought it.
class HopServer final : private ServerSocket::Handler {
 public:
  struct Options {
    std::string endpoint;                              // tcp://host:port
    uint64_t credit_bytes = 64 * limits::kMiB;         // chunk bytes under way, all connections together
    uint64_t session_credit_bytes = 2 * limits::kMiB;  // chunk bytes under way on one connection
    uint32_t max_chunk_bytes = limits::kMaxChunkBytes;
    size_t max_sessions = 20'000;  // proven
    // Sessions that were greeted and have proven nothing, apart from those; under 1 KB each. The oldest gives way. At
    // 500 handshakes a second (GateOptions) each has two seconds.
    size_t max_unproven = 1'000;
    // A proof is at most four certificates of 8 KiB and a signature, a request for a certificate 32 KiB.
    size_t max_unproven_message = 48 * limits::kKiB;
    // How often a member may say something, chunks apart, which credit bounds. A device has one upload of ten messages
    // under way, or a thousand telemetry uploads after an outage; a gateway brings those of a site.
    Rate member_messages{1'000, 5'000};
    Rate gateway_messages{20'000, 50'000};
    // What a member has asked for and not received yet, in this server's memory: beyond that it gets no pieces and no
    // publication. One that works has one piece of 256 KiB of each blob, or a publication of 2 MiB, on its way.
    uint64_t max_unread_bytes = 8 * limits::kMiB;
    // A member is not given the same publication twice in so long: it is up to 2 MiB.
    Millis publication_again{5'000};
    // How often all sessions are looked through for members whose certificates ended meanwhile; also when a publication
    // comes, with which revocations come. A microsecond for each.
    Millis standing_interval{30'000};
    size_t max_session_uploads = 64;  // offered and not yet in custody, on one connection
    // Requests for certificates that wait for their answer: of one member (a gateway brings those of a whole site), and
    // of applicants, who hold a session each meanwhile.
    size_t max_session_enrolments = 64;
    Millis enrolment_timeout{30'000};  // from an applicant's request to its answer
    // When applicants whose address asks too often may ask again (GateOptions::enrolments_per_address). Spread, so that
    // all of a site behind one address have the same chance until they are through.
    RetryWindow enrolment_later{Millis(5'000), Millis(30'000)};
    // Pending requests that are remembered, about 200 bytes each: whoever was told to ask again, and does so no
    // earlier, meets no rate.
    size_t remembered_applicants = 32'768;
    Millis proof_timeout{10'000};  // from hello to proof
    // Credit that others wait for and that is not used for this long, with no chunk in the middle of arriving: closes
    // the connection.
    Millis chunk_timeout{60'000};
    Millis session_timeout{
        180'000};  // nothing heard and nothing arriving, unless check-ins are rarer than a third of it
    // How often a member checks in: at least this long between two, and devices so rarely that all of them together ask
    // this often. 50 a second cost a server about half a percent of a core.
    Millis check_in_interval{15'000};
    uint32_t check_ins_per_second = 50;
    hop::VersionRange versions;
    TransportOptions transport;
  };
  // What the owner hears of. Called on the loop's thread.
  class Observer {
   public:
    virtual ~Observer() = default;
    // The first of a gateway's reports is its own, and names this server as its parent.
    virtual void OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) = 0;
    // An upload was refused before the sink saw it. `subject` is null when nothing of it can be believed.
    virtual void OnRefusedUpload(const UploadSubject* subject, const Error& error) = 0;
  };
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    const Identity& identity;
    UploadSink& sink;
    const BlobStore& blobs;
    Observer& observer;
    EnrolmentDesk* desk = nullptr;  // borrowed; null: requests for certificates are refused with kNotSupported
  };
  struct Counts {
    uint64_t sessions = 0;                       // now, proven
    uint64_t unproven = 0;                       // connections, now
    uint64_t handshakes = 0;                     // welcomed since the start
    uint64_t chunk_bytes = 0;                    // received
    uint64_t piece_bytes = 0;                    // sent
    uint64_t credit_in_use = 0;                  // bytes
    std::map<LinkPurpose, LinkBytes> link;       // `up` came from clients; what they sent twice is theirs to know
    std::map<Code, uint64_t> refused;            // sessions and uploads, by reason
    std::map<TurnedAway, uint64_t> turned_away;  // connections and requests, before any proof
  };

  HopServer(const Parts& parts, Options options);
  ~HopServer() override;

  // kPortInUse, kInvalidArgument.
  Status Listen();
  const std::string& endpoint() const { return socket_->endpoint(); }
  // What lies above: the ids from this server's own server up to the aggregator, as far as they are known. Clients
  // learn it; a gateway that is in it is refused, and its session ended if it has one.
  void SetPath(std::vector<DeviceId> above);
  // From now on the publication that is handed out, to whoever has one of a lower root version, or of the same and a
  // lower number; everybody connected gets a notice.
  void Publish(Bytes signed_publication, uint64_t number, uint64_t root_version);
  // From some day on this server will show these certificates: the same id and role, another connection key. Clients
  // are told, and try that key too from then on. Empty: no longer so. kWrongIdentity, and the errors of
  // TrustAnchor::Verify.
  Status SetNextIdentity(std::vector<Bytes> chain);
  // The upload is safe here. Whoever offers it is told, if still connected; otherwise a later offer is answered
  // `already`.
  void GiveCustody(const UploadId& upload);
  void RefuseUpload(const UploadId& upload, const Error& error);
  // Tells everybody connected that this server ends, so that they come back soon and not when their heartbeat is
  // missed.
  void SayGoodbye();
  const Counts& counts();

 private:
  struct Session;
  using Route = std::string;

  void OnMessage(const ServerSocket::Peer& peer, ByteView message, ByteView bulk) override;
  void OnNonsense(const ServerSocket::Peer& peer) override;
  void OnDisconnected(const Route& route) override { Forget(route); }

  void OnHello(const ServerSocket::Peer& peer, const hop::Hello& hello, ByteView bytes);
  Status OnProof(Session& session, const hop::Proof& proof);
  // Past the handshake. An error closes the session.
  Status Dispatch(Session& session, const hop::Message& message, ByteView bulk);
  Status OnOffer(Session& session, const hop::Offer& offer);
  void OnAnswer(const Route& route, uint64_t serial, const UploadHeader& header, const OfferVerdict& answer);
  Status OnChunk(Session& session, const hop::Chunk& chunk, ByteView bulk);
  // `taken` names the chunk: its bytes, its upload and the index after it.
  void OnTaken(const Route& route, uint64_t serial, const hop::Credit& taken, const Status& status);
  Status OnFetch(Session& session, const hop::Fetch& fetch);
  Status OnCheckIn(Session& session, hop::CheckIn check_in);
  // Answers a check-in of somebody who holds this publication: root version and number.
  void Assign(Session& session, std::pair<uint64_t, uint64_t> held);
  Status OnEnrol(Session& session, const hop::Enrol& enrol);
  // Whether an applicant's request is brought to the desk.
  bool MayEnrol(const Session& session, const Digest& request);
  void OnEnrolled(const Route& route, uint64_t serial, const Digest& request, EnrolmentAnswer answer);
  // Whether the member is no more, so that its session ends.
  void EndFallen();
  // Whether so much more may be queued for this member.
  bool CanTake(const Session& session, size_t bytes) const;
  bool IsCarrier(const VerifiedIdentity& member) const;
  // How often this member is to check in.
  uint32_t CheckInMillis(Session& session) const;

  Session* Find(const Route& route, uint64_t serial);
  // Ends what connections have to do with an upload; whose it was.
  std::vector<Route> Detach(const UploadId& upload);
  // The same for one connection. false: it had nothing to do with it.
  bool DetachOne(const Route& route, const UploadId& upload);
  // `safe` goes along: what it says of an upload's chunks.
  void GrantCredit(Session& session, hop::Credit safe = {});
  void GrantWaiting();
  void SendRefuse(const Route& route, const UploadId& upload, const Error& error);
  void Send(const Route& route, const hop::Message& message, ByteView bulk = {});
  void SendBytes(const Route& route, ByteView message, LinkPurpose purpose, ByteView bulk = {});
  void CloseWith(Route route, const Error& error);
  // Somebody who has proven nothing is refused.
  void OnStranger(const Route& route, const Error& error);
  void Forget(Route route);
  void Sweep();
  // Whether a message is under way on its connection, and more of it came since this was last asked.
  bool IsInTheMiddle(Session& session);
  // A passing refusal names when to come back; spread so that clients do not return together.
  static RetryWindow WindowFor(Code code);

  Parts parts_;
  Options options_;
  Bytes curve_public_key_;
  std::unique_ptr<ServerSocket> socket_;
  std::unordered_map<Route, std::unique_ptr<Session>> sessions_;
  std::map<uint64_t, Route> unproven_;  // by serial: the oldest first
  std::unordered_map<DeviceId, Route, IdHash> by_member_;
  std::unordered_map<UploadId, std::vector<Route>, IdHash> offered_by_;
  std::deque<std::pair<Route, uint64_t>> waiting_;  // for credit, first come first served
  CreditPool pool_;
  Bytes publication_;
  uint64_t publication_number_ = 0;
  uint64_t root_version_ = 0;
  std::vector<DeviceId> path_;  // this server first
  std::vector<Bytes> next_chain_;
  Recent<Millis> pending_;    // requests of applicants by digest: when they may come again
  TokenBucket unproven_log_;  // what is said of strangers
  uint64_t unlogged_ = 0;     // strangers refused, and nothing said of them
  Millis next_standing_{0};   // when sessions are looked through again
  uint64_t last_serial_ = 0;
  Loop::TimerId sweep_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for answers that come after the end
  Counts counts_;
};

}  // namespace tributary
