#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/envelope/seal_upload.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/client/subscriber.h"
#include "protocol/hop/server/server.h"
#include "protocol/spool/spool.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

// Both ends of a hop in one process, on one thread, over real sockets on loopback, for the tests of whatever speaks the
// hop.
namespace tributary {

// Runs what was posted when its owner says so, on the calling thread.
class StepExecutor final : public Executor {
 public:
  void Post(std::function<void()> work) override { queue_.push_back(std::move(work)); }
  bool idle() const { return queue_.empty(); }
  void RunOne() {
    auto work = std::move(queue_.front());
    queue_.pop_front();
    work();
  }
  void RunAll() {
    while (!idle()) RunOne();
  }

 private:
  std::deque<std::function<void()>> queue_;
};

// Time, loop, worker, folder and fleet of one test.
struct HopWorld {
  TestFleet fleet;
  ManualClock clock;
  SeededRandom random{1};
  TemporaryFolder folder;
  StepExecutor worker;
  Loop loop{clock};
  std::vector<Loop*> server_loops;               // a loop has one server at most
  std::vector<std::function<void()>> each_turn;  // what must hold at every turn

  void Turn();
  // Turns until it is so, or for at most `turns` turns.
  bool RunUntil(const std::function<bool()>& condition, int turns = 5'000);
  // The same, with `step` of the clock in every turn: for what waits for time.
  bool RunUntilWithTime(const std::function<bool()>& condition, Millis step = Millis(20), int turns = 5'000);
};

// Holds uploads in memory, gives custody when the digest is right, and can be told to misbehave. Outlives its servers,
// as a disk would.
class MemorySink final : public UploadSink {
 public:
  struct Stored {
    UploadHeader header;
    std::vector<Bytes> chunks;
  };
  std::map<UploadId, Stored> partial;
  std::map<UploadId, Stored> complete;
  std::vector<DeviceId> offered_via;
  uint64_t appended_bytes = 0;
  std::function<std::optional<Result<OfferAnswer>>(const SignedEnvelope&)> judge = [](const SignedEnvelope&) {
    return std::nullopt;
  };
  bool hold_chunks = false;  // keep the memory of chunks until Release
  bool hold_custody = false;
  HopServer* server = nullptr;

  void Release();
  size_t held() const { return held_.size(); }

  void Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
             std::function<void(Result<OfferAnswer>)> answer) override;
  void Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) override;

 private:
  Status Take(const UploadId& upload, uint32_t index, Bytes chunk);
  std::vector<std::function<void()>> held_;
};

// A server with a memory sink and a blob store, which can be stopped and started again on the same port.
class TestServer final : private HopServer::Observer {
 public:
  TestServer(HopWorld& world, Role role, std::string_view id, HopServer::Options options = {});
  ~TestServer() override;
  // On the port it had before, if any.
  void Start();
  void Stop();
  // From the next Start on it has this identity. Borrowed.
  void Become(const Identity& identity) { shown_ = &identity; }
  HopServer& operator*() { return *server_; }
  HopServer* operator->() { return server_.get(); }
  const std::string& endpoint() const { return options_.endpoint; }
  const Identity& identity() const { return *shown_; }
  HopClient::Options Address() const;
  uint64_t Refused(Code code);

  MemorySink sink;
  BlobStore blobs;
  EnrolmentDesk* desk = nullptr;  // from the next Start on
  std::vector<std::pair<DeviceId, hop::CheckIn>> check_ins;
  std::vector<Code> refused_uploads;
  std::vector<DeviceId> twice;
  std::vector<std::pair<Digest, Code>> missing_blobs;
  bool wants_publication = false;  // of clients that are ahead
  bool check_credit = true;  // that credit in use never exceeds the total, at every turn

 private:
  void OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) override;
  void OnIdentityTwice(const DeviceId& member) override { twice.push_back(member); }
  bool WantsPublication(const VerifiedIdentity&, const hop::CheckIn&) override { return wants_publication; }
  void OnMissingBlob(const Digest& blob, const Error& why) override { missing_blobs.emplace_back(blob, why.code); }
  void OnRefusedUpload(const UploadSubject* subject, const Error& error) override;

  HopWorld& world_;
  Identity identity_;
  const Identity* shown_ = &identity_;
  HopServer::Options options_;
  Loop loop_;
  std::unique_ptr<HopServer> server_;
};

// An upload of `plaintext_size` bytes, sealed to the fleet's aggregator in chunks of 4 KiB.
SealedUpload MakeSealed(HopWorld& world, const Identity& by, size_t plaintext_size, ModelVersion base = ModelVersion{3},
                        std::string_view task = "digits", UploadKind kind = UploadKind::kUpdate);

// A publication of one task whose blobs are in `blobs`; `from` is their only content.
Bytes MakePublication(HopWorld& world, BlobStore& blobs, uint64_t number, ModelVersion latest,
                      size_t weight_bytes = 200'000);
Publication PublicationOf(const HopWorld& world, const Bytes& signed_publication);

// A device with its outbox, or anything else that brings uploads up a hop. Restart: destroy and make again on the same
// folder.
class TestSender {
 public:
  TestSender(HopWorld& world, const Identity& identity, const Path& folder, HopClient::Options to,
             Courier::Options options = {});
  void Put(const SealedUpload& upload);
  size_t Spooled() const { return spool_->Pending(1'000)->size(); }

  HopClient& client() { return *client_; }
  Courier& courier() { return *courier_; }
  Spool& spool() { return *spool_; }
  std::vector<std::pair<UploadId, std::optional<Code>>> gone;
  std::vector<Bytes> publications;
  hop::CheckIn self;
  std::function<void(const std::vector<DeviceId>& path)> on_path = [](const auto&) {};

 private:
  HopWorld& world_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<HopClient> client_;
  std::unique_ptr<Courier> courier_;
};

// A client that says what the test says, however wrong.
class RawClient final : private ClientSocket::Handler {
 public:
  RawClient(HopWorld& world, const TestServer& server, const Identity& identity);
  // As anybody: with a connection key of its own, from an address of its own when it is given one.
  RawClient(HopWorld& world, const TestServer& server, const SecretBytes& curve_secret, const std::string& from = "");
  void Send(const hop::Message& message, ByteView bulk = {});
  void SendBytes(ByteView bytes, ByteView bulk = {});
  // The next message of the type; nullopt when none came in many turns. Others before it are dropped.
  template <class T>
  std::optional<T> Await();
  // Says hello, as every well-behaved client does; what comes back, or nullopt.
  std::optional<hop::Challenge> Greet(hop::VersionRange spoken = {});
  // The bytes that a proof on this connection has to sign, after Greet.
  Bytes Transcript(const hop::Challenge& challenge) const;
  // hello to welcome, with the identity's certificate and key. The code of a refusal.
  std::optional<Code> Introduce(const Identity& identity);
  // The code of the refusal that comes next.
  std::optional<Code> AwaitRefused();

  std::deque<std::pair<hop::Message, Bytes>> received;

 private:
  void OnMessage(ByteView message, ByteView bulk) override;
  HopWorld& world_;
  Bytes server_key_;
  Bytes own_key_;
  Bytes hello_;
  std::unique_ptr<ClientSocket> socket_;
};

// A server that welcomes everybody with `next_chain`, as somebody would who has taken over a server.
class FakeServer final : private ServerSocket::Handler {
 public:
  FakeServer(HopWorld& world, const Identity& identity, std::vector<Bytes> next_chain);
  ~FakeServer() override;
  const std::string& endpoint() const { return socket_->endpoint(); }
  // Its answer to a message instead; nullopt: as above.
  std::function<std::optional<hop::Message>(const hop::Message& said)> answer = [](const auto&) { return std::nullopt; };

 private:
  void OnMessage(const ServerSocket::Peer& peer, ByteView message, ByteView bulk) override;
  void OnNonsense(const ServerSocket::Peer&) override {}

  HopWorld& world_;
  const Identity& identity_;
  std::vector<Bytes> next_chain_;
  Loop loop_{world_.clock};
  std::unique_ptr<ServerSocket> socket_;
};

template <class T>
std::optional<T> RawClient::Await() {
  std::optional<T> found;
  world_.RunUntil([&] {
    while (!found && !received.empty()) {
      if (auto* message = std::get_if<T>(&received.front().first)) found = *message;
      received.pop_front();
    }
    return found.has_value();
  });
  return found;
}

}  // namespace tributary
