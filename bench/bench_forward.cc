// Claims: a full spool is carried up a hop (offered, sent under credit, taken into custody, deleted) at 0.5 of the
// speed at which the same bytes go through the same encrypted transport alone; and a backlog of small uploads, as a
// long outage leaves it, drains at 0.3 of the speed at which one core verifies their envelopes, which the receiver must
// do.

#include "bench/claim.h"
#include "bench/loopback.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/server/server.h"
#include "protocol/spool/spool.h"

namespace tributary::bench {
namespace {

// A fleet of a server, a gateway that forwards, and a device whose uploads it has.
struct Fleet : LoopbackFleet {
  Identity server = Issue(Role::kAggregator, "aggregator");
  Identity gateway = Issue(Role::kGateway, "gateway");
  Identity device = Issue(Role::kDevice, "device");
};

// Takes everything and keeps nothing.
class Discard final : public UploadSink {
 public:
  HopServer* server = nullptr;

  void Offer(const SignedEnvelope& envelope, const VerifiedIdentity&, const DeviceId&,
             std::function<void(Result<OfferAnswer>)> answer) override {
    chunks_[envelope.header.subject.id] = envelope.header.subject.chunk_count;
    answer(OfferAnswer{.next_chunk = 0});
  }
  void Append(const UploadId& upload, uint32_t index, Bytes, std::function<void(Status)> taken) override {
    taken({});
    if (index + 1 != chunks_[upload]) return;
    chunks_.erase(upload);
    server->GiveCustody(upload);
  }

 private:
  std::unordered_map<UploadId, uint32_t, IdHash> chunks_;
};

// The receiving end of the hop.
class Receiver final : private HopServer::Observer {
 public:
  Receiver(Fleet& fleet, const Path& folder)
      : thread_(fleet.clock), blobs_(Must(BlobStore::Open(RealFileSystem(), folder / "blobs"))) {
    thread_.Do([&] {
      HopServer::Options options;
      options.endpoint = "tcp://127.0.0.1:*";
      server_ = std::make_unique<HopServer>(
          HopServer::Parts{thread_.loop(), fleet.clock, fleet.random, fleet.server, sink_, blobs_, *this}, options);
      Must(server_->Listen());
      sink_.server = server_.get();
    });
  }
  ~Receiver() override {
    thread_.Do([this] { server_.reset(); });
  }
  const std::string& endpoint() const { return server_->endpoint(); }

 private:
  void OnCheckIn(const VerifiedIdentity&, const hop::CheckIn&) override {}
  void OnRefusedUpload(const UploadSubject*, const Error& error) override {
    TRIBUTARY_CHECK(false) << error.ToString();
  }

  LoopThread thread_;
  BlobStore blobs_;
  Discard sink_;
  std::unique_ptr<HopServer> server_;
};

// A gateway's spool and the courier that empties it.
class Forwarder {
 public:
  Forwarder(Fleet& fleet, const Path& folder, const std::string& endpoint)
      : fleet_(fleet),
        thread_(fleet.clock),
        spool_(Must(Spool::Open({.folder = folder / "spool"}, RealFileSystem(), fleet.clock, worker_))) {
    thread_.Do([&] {
      HopClient::Options options;
      options.endpoint = endpoint;
      options.server_key = fleet.server.subject.curve_public_key;
      client_ = std::make_unique<HopClient>(HopClient::Parts{thread_.loop(), fleet.clock, fleet.random, fleet.gateway},
                                            options, HopClient::Hooks{[] { return hop::CheckIn(); }, [](ByteView) {}});
      courier_ = std::make_unique<Courier>(*client_, thread_.loop(), fleet.clock, fleet.random, *spool_,
                                           Courier::Options(), [this](const UploadId&, const Error* error) {
                                             TRIBUTARY_CHECK(error == nullptr) << error->ToString();
                                             if (--left_ == 0) empty_.set_value();
                                           });
      client_->Start();
    });
  }
  ~Forwarder() {
    thread_.Do([this] {
      client_->Stop();
      spool_.reset();
      courier_.reset();
      client_.reset();
    });
  }

  // Into the spool, not yet offered.
  void Fill(const std::vector<SealedUpload>& uploads) {
    left_ = uploads.size();
    empty_ = {};
    for (const SealedUpload& upload : uploads) {
      std::promise<void> taken;
      spool_->Offer(upload.header, upload.envelope, [](Result<OfferAnswer> answer) { Must(std::move(answer)); });
      for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
        spool_->Append(upload.header.subject.id, i, upload.chunks[i], [&](Result<AppendAnswer> answer) {
          if (Must(std::move(answer)).complete) taken.set_value();
        });
      }
      taken.get_future().wait();
    }
  }
  void Drain() {
    thread_.Do([this] { courier_->Nudge(); });
    empty_.get_future().wait();
  }

 private:
  Fleet& fleet_;
  WorkerPool worker_{"spool", 1};
  LoopThread thread_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<HopClient> client_;
  std::unique_ptr<Courier> courier_;
  size_t left_ = 0;
  std::promise<void> empty_;
};

std::vector<SealedUpload> MakeUploads(const Fleet& fleet, const HpkeKeyPair& key, size_t count, size_t bytes_each) {
  static uint64_t version = 0;
  std::vector<SealedUpload> uploads;
  for (size_t i = 0; i < count; ++i) {
    UploadSubject subject;
    SystemRandom().Fill(subject.id.mutable_view());
    subject.task = Must(TaskId::Parse("bench"));
    subject.device = fleet.device.subject.id;
    subject.base_version = ModelVersion{++version};  // a device counts once for each
    subject.created = fleet.clock.Now();
    uploads.push_back(Must(
        SealUpload(subject, AsBytes(std::span<const float>(SomeUpdate(bytes_each / sizeof(float), i))),
                   limits::kDefaultChunkBytes, {kDefaultAead, key.public_key}, fleet.device.key, fleet.device.chain)));
  }
  return uploads;
}

// The limit: the same chunks through the same sockets, one answer at the end.
class BareTransport final : private ServerSocket::Handler, private ClientSocket::Handler {
 public:
  explicit BareTransport(Fleet& fleet) : above_(fleet.clock), below_(fleet.clock) {
    above_.Do([&] {
      server_ = Must(ServerSocket::Bind(above_.loop(), "tcp://127.0.0.1:*", fleet.server.curve_secret, {}, *this));
    });
    below_.Do([&] {
      client_ = Must(ClientSocket::Connect(below_.loop(), server_->endpoint(), fleet.server.subject.curve_public_key,
                                           fleet.gateway.curve_secret, {}, *this));
    });
  }
  ~BareTransport() override {
    below_.Do([this] { client_.reset(); });
    above_.Do([this] { server_.reset(); });
  }

  void Send(const std::vector<SealedUpload>& uploads) {
    answered_ = {};
    below_.Do([&] {
      for (size_t i = 0; i < uploads.size(); ++i) {
        for (size_t chunk = 0; chunk < uploads[i].chunks.size(); ++chunk) {
          const bool last = i + 1 == uploads.size() && chunk + 1 == uploads[i].chunks.size();
          const uint8_t mark = last ? 1 : 0;
          Must(client_->Send(ByteView(&mark, 1), uploads[i].chunks[chunk]));
        }
      }
    });
    answered_.get_future().wait();
  }

 private:
  void OnMessage(const ServerSocket::Peer& peer, ByteView message, ByteView) override {
    server_->Admit(peer.route);
    if (message[0] == 1) Must(server_->Send(peer.route, message));
  }
  void OnNonsense(const ServerSocket::Peer&) override { TRIBUTARY_CHECK(false) << "nonsense"; }
  void OnMessage(ByteView, ByteView) override { answered_.set_value(); }

  LoopThread above_;
  LoopThread below_;
  std::unique_ptr<ServerSocket> server_;
  std::unique_ptr<ClientSocket> client_;
  std::promise<void> answered_;
};

void MeasureForwarding(Fleet& fleet, const HpkeKeyPair& key) {
  constexpr size_t kCount = 16, kBytes = 1'000'000;
  const ScratchFolder folder;
  Receiver receiver(fleet, folder / "above");
  Forwarder forwarder(fleet, folder / "below", receiver.endpoint());
  BareTransport bare(fleet);
  std::vector<SealedUpload> uploads;
  uploads = MakeUploads(fleet, key, kCount, kBytes);
  const Rates rates = Compare(
      Measured::kWallTime, 9, kCount * kBytes / 1e6, [&] { forwarder.Drain(); }, [&] { bare.Send(uploads); },
      [&] {
        uploads = MakeUploads(fleet, key, kCount, kBytes);
        forwarder.Fill(uploads);
      });
  Print({"forwarding 16 uploads of 1 MB out of a spool, of the transport alone", rates.ours, "MB/s", rates.limit, 0.5});
}

void MeasureCatchUp(Fleet& fleet, const HpkeKeyPair& key) {
  constexpr size_t kCount = 1'000, kBytes = 2'000;
  const ScratchFolder folder;
  Receiver receiver(fleet, folder / "above");
  Forwarder forwarder(fleet, folder / "below", receiver.endpoint());
  std::vector<SealedUpload> uploads;
  uploads = MakeUploads(fleet, key, kCount, kBytes);
  const Rates rates = Compare(
      Measured::kWallTime, 5, kCount, [&] { forwarder.Drain(); },
      [&] {
        for (const SealedUpload& upload : uploads) {
          Must(VerifyEnvelope(Must(ParseEnvelope(upload.envelope)), fleet.anchor, fleet.clock.Now()));
        }
      },
      [&] {
        uploads = MakeUploads(fleet, key, kCount, kBytes);
        forwarder.Fill(uploads);
      });
  Print({"catching up 1,000 small uploads, of verifying their envelopes", rates.ours, "uploads/s", rates.limit, 0.3});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  using namespace tributary::bench;
  Fleet fleet;
  const tributary::HpkeKeyPair key = tributary::GenerateHpkeKeyPair();
  MeasureForwarding(fleet, key);
  MeasureCatchUp(fleet, key);
}
