#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/hop/server/down_port.h"
#include "protocol/hop/server/greeter.h"
#include "protocol/hop/server/registrar.h"
#include "protocol/hop/server/upload_port.h"

namespace tributary {

// The server's side of the hop, the same at a gateway and at the aggregator. It hands every message to the part whose
// subject it is: Greeter (who connects), UploadPort (what comes up), DownPort (what goes down), Registrar (who asks for
// a certificate), all over one table of Sessions. Legal call order: construct, Listen, then the rest, all on the loop's
// thread. Everything in Parts must outlive it. Memory: one small session per connection, and never more chunk bytes
// than Options::credit_bytes over all of them. Does not promise custody: the owner says so with GiveCustody, after its
// own fsync or checkpoint.
class HopServer final : private ServerSocket::Handler {
 public:
  using Options = HopServerOptions;
  using Observer = HopServerObserver;
  using Counts = HopServerCounts;
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    const Identity& identity;
    UploadSink& sink;
    const BlobStore& blobs;
    Observer& observer;
    EnrolmentDesk* desk = nullptr;  // borrowed; null: requests for certificates are refused with kNotSupported
    Executor* reader = nullptr;     // borrowed: reads pieces of blobs; null: a worker of the server's own
  };

  HopServer(const Parts& parts, Options options);

  // kPortInUse, kInvalidArgument.
  Status Listen() { return sessions_.Listen(*this); }
  const std::string& endpoint() const { return sessions_.socket().endpoint(); }
  // The ids from this server's own server up to the aggregator, as far as they are known. Clients learn them; a gateway
  // that is among them is refused, and its session ended if it has one.
  void SetPath(const std::vector<DeviceId>& above) { down_.SetPath(above); }
  // From now on this publication is handed out, to everybody who has one of a lower root version, or of the same and a
  // lower number; everybody connected gets a notice.
  void Publish(Bytes publication, uint64_t number, uint64_t root_version) {
    down_.Publish(std::move(publication), number, root_version);
  }
  // From some day on this server will show these certificates: the same id and role, another connection key. Clients
  // are told, and try that key too from then on. Empty: no longer so. kWrongIdentity, and the errors of
  // TrustAnchor::Verify.
  Status SetNextIdentity(std::vector<Bytes> chain) { return down_.SetNextIdentity(std::move(chain)); }
  // The upload is safe here. Whoever offers it is told, if still connected; otherwise a later offer is answered
  // `already`.
  void GiveCustody(const UploadId& upload) { uploads_.GiveCustody(upload); }
  void RefuseUpload(const UploadId& upload, const Error& error) { uploads_.RefuseUpload(upload, error); }
  // Tells everybody connected that this server ends, so that they come back soon and not when their heartbeat is
  // missed.
  void SayGoodbye();
  const Counts& counts();

 private:
  void OnMessage(const ServerSocket::Peer& peer, ByteView message, ByteView bulk) override;
  void OnNonsense(const ServerSocket::Peer& peer) override;
  void OnDisconnected(const std::string& route) override { sessions_.Forget(route); }
  // A message of a session. An error closes it.
  Status Dispatch(Session& session, const hop::Message& message, ByteView bulk);
  // The same past the proof.
  Status DispatchProven(Session& session, const hop::Message& message, ByteView bulk);

  Options options_;
  Sessions sessions_;
  DownPort down_;
  UploadPort uploads_;
  Registrar registrar_;
  Greeter greeter_;
};

}  // namespace tributary
