// Claim: a server completes full handshakes (TCP, CURVE, hello, challenge, proof, welcome) over the loopback at 0.3 of
// the rate at which one core does nothing but the bare cryptography that both ends of them need, measured in the same
// run: for CURVE eight X25519 operations and two key pairs, for the proof one signature, one check of it, and one
// verified certificate chain at either end.

#include <memory>
#include <vector>

#include "bench/claim.h"
#include "bench/loopback.h"
#include "bench/scratch_folder.h"
#include "protocol/base/log.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/server/server.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/seal/hpke.h"
#include "protocol/trust/seal/key_schedule.h"

namespace tributary::bench {
namespace {

constexpr int kClients = 200;
constexpr int kRounds = 5;

class NoUploads final : public UploadSink {
  void Offer(const SignedEnvelope&, const VerifiedIdentity&, const DeviceId&,
             std::function<void(Result<OfferAnswer>)> answer) override {
    answer(Fail(Code::kNotSupported, "a bench of handshakes"));
  }
  void Append(const UploadId&, uint32_t, Bytes, std::function<void(Status)> taken) override { taken({}); }
};

class Server final : private HopServer::Observer {
 public:
  Server(LoopbackFleet& fleet, const Path& folder)
      : identity_(fleet.Issue(Role::kGateway, "gateway")),
        blobs_(Must(BlobStore::Open(RealFileSystem(), folder / "blobs"))),
        thread_(fleet.clock) {
    HopServer::Options options;
    options.endpoint = "tcp://127.0.0.1:*";
    // The same clients come again and again.
    options.transport.gate.handshakes_per_key = {1e6, 1e6};
    options.transport.gate.connects_per_address = {1e6, 1e6};
    thread_.Do([&] {
      server_ = std::make_unique<HopServer>(
          HopServer::Parts{thread_.loop(), fleet.clock, fleet.random, identity_, sink_, blobs_, *this}, options);
      Must(server_->Listen());
    });
  }
  ~Server() override {
    thread_.Do([&] { server_.reset(); });
  }
  HopClient::Options Address() const {
    HopClient::Options options;
    options.endpoint = server_->endpoint();
    options.server_key = identity_.subject.curve_public_key;
    return options;
  }
  const Identity& identity() const { return identity_; }

 private:
  void OnCheckIn(const VerifiedIdentity&, const hop::CheckIn&) override {}
  void OnRefusedUpload(const UploadSubject*, const Error&) override {}

  Identity identity_;
  NoUploads sink_;
  BlobStore blobs_;
  LoopThread thread_;
  std::unique_ptr<HopServer> server_;
};

// All clients connect at once, and leave when the last of them has its session.
class Clients {
 public:
  Clients(LoopbackFleet& fleet, const Server& server) : fleet_(fleet), server_(server), thread_(fleet.clock) {
    for (int i = 0; i < kClients; ++i) identities_.push_back(fleet.Issue(Role::kDevice, "d" + std::to_string(i)));
  }
  void ConnectAll() {
    Arrivals arrivals;
    thread_.Do([&] {
      for (const Identity& identity : identities_) {
        clients_.push_back(std::make_unique<HopClient>(
            HopClient::Parts{thread_.loop(), fleet_.clock, fleet_.random, identity}, server_.Address(),
            HopClient::Hooks{[] { return hop::CheckIn{}; }, [](ByteView) {}}));
        clients_.back()->AddPart(arrivals);
        clients_.back()->Start();
      }
    });
    arrivals.all.get_future().wait();
    CloseAll();
  }

 private:
  struct Arrivals final : HopClient::Part {
    void OnUp() override {
      if (++up == kClients) all.set_value();
    }
    void OnMessage(const hop::Message&, ByteView) override {}
    int up = 0;
    std::promise<void> all;
  };

  void CloseAll() {
    thread_.Do([&] {
      for (const auto& client : clients_) client->Stop();
      clients_.clear();
    });
  }

  LoopbackFleet& fleet_;
  const Server& server_;
  LoopThread thread_;
  std::vector<Identity> identities_;
  std::vector<std::unique_ptr<HopClient>> clients_;
};

// What no implementation can do without, on this thread.
void BareCrypto(const LoopbackFleet& fleet, const Identity& client, const Identity& server) {
  const Bytes transcript(160, 7);
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  for (int i = 0; i < kClients; ++i) {
    // CURVE (rfc.zeromq.org/spec/26): a pair for the connection at either end, and the shared keys of the boxes in
    // HELLO, WELCOME and INITIATE, which has two, at both ends of each.
    for (int pairs = 0; pairs < 2; ++pairs) GenerateCurveKeyPair();
    for (int shared = 0; shared < 8; ++shared) Must(DiffieHellman(pair, server.subject.curve_public_key));
    const Bytes signature = client.key.Sign(transcript);
    Must(VerifySignature(client.key.public_key(), transcript, signature));
    Must(fleet.anchor.Verify(server.chain, fleet.clock.Now()));
    Must(fleet.anchor.Verify(client.chain, fleet.clock.Now()));
  }
}

void Run() {
  Must(StartLog("error", {}));
  const ScratchFolder folder;
  LoopbackFleet fleet;
  Server server(fleet, folder / "server");
  Clients clients(fleet, server);
  const Identity one = fleet.Issue(Role::kDevice, "one");
  const Rates rates = Compare(
      Measured::kWallTime, kRounds, kClients, [&] { clients.ConnectAll(); },
      [&] { BareCrypto(fleet, one, server.identity()); });
  Print({"full handshakes over the loopback, of the bare cryptography in them", rates.ours, "handshakes/s", rates.limit,
         0.3, Wanted::kAtLeast});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::Run();
  return 0;
}
