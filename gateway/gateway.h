#pragma once

#include <memory>

#include "gateway/accept/acceptor.h"
#include "gateway/accept/key_rotation.h"
#include "gateway/desk/inbox.h"
#include "gateway/forward/uplink.h"
#include "gateway/metrics.h"
#include "gateway/options.h"
#include "gateway/relay/enrolment_relay.h"
#include "gateway/relay/gateway_state_book.h"
#include "protocol/base/executor.h"
#include "protocol/base/http/http_server.h"
#include "protocol/base/random.h"
#include "protocol/base/time_floor.h"
#include "protocol/hop/server/server.h"
#include "protocol/member/membership.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// A gateway: a server to those below, a client of the one above, with a spool between. Wires the parts; each part's
// header says what it does. All parts are built before any of them is told of the others (Connect). Legal call order:
// Open, Run (on the loop's thread, until Stop), destroy. Clock, random and files must outlive it.
class Gateway final : private HopServer::Observer {
 public:
  // Everything that can be wrong with configuration, identity, data folder or ports shows here.
  static Result<std::unique_ptr<Gateway>> Open(const GatewayOptions& options, const Clock& clock, Random& random,
                                               FileSystem& files);
  ~Gateway() override;

  void Run();
  // From any thread. Drains: offers are refused from now on, what is in process is finished and acknowledged, both
  // sides are told, and Run returns, at the latest after options.drain_seconds.
  void Stop() {
    loop_.Post([this] { Drain(); });
  }
  Executor& executor() { return loop_; }
  // Where it listens, with the real port.
  const std::string& endpoint() const { return server_->endpoint(); }

 private:
  Gateway(const GatewayOptions& options, std::unique_ptr<TimeFloor> time, Identity identity, FileLock lock,
          FileSystem& files, Random& random);
  Status OpenStores();
  void BuildLinks();
  Status Connect();
  Status OpenHttp();
  void OnAdopted(const Publication& publication);
  // The uploads of revoked members are dropped when a publication brings another list of them.
  void DropRevoked(const Publication& publication);
  void OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) override {
    if (member.subject.role == Role::kGateway) below_.Take(check_in.reports);
  }
  void OnRefusedUpload(const UploadSubject* subject, const Error& error) override {
    if (subject) spool_->CountRefused(subject->kind, error.code);
  }

  void OnMissingBlob(const Digest& blob, const Error&) override { membership_->Mend(blob); }

  // This gateway describes itself: to its parent in each check-in, its own state first, then those of the gateways
  // below; to monitoring in each snapshot.
  hop::CheckIn DescribeSelf();
  GatewayState OwnState() const;
  GatewayMetrics::Snapshot Snapshot() const;
  Millis OldestSpooled() const;

  void EverySecond();
  void SweepSpool();
  void Drain();
  void End();

  GatewayOptions options_;
  std::unique_ptr<TimeFloor> time_;
  const Clock& clock_;  // the same
  Identity identity_;   // its certificate changes when it is renewed
  FileLock lock_;
  FileSystem& files_;
  Random& random_;
  Loop loop_;
  std::unique_ptr<WorkerPool> spool_worker_ = std::make_unique<WorkerPool>("spool", 1);
  std::unique_ptr<Spool> spool_;
  // Not the spool's: to sync a model may take a slow card minutes, in which custody is still given.
  std::unique_ptr<WorkerPool> blob_worker_ = std::make_unique<WorkerPool>("blobs", 1);
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<Uplink> uplink_;
  std::unique_ptr<EnrolmentRelay> enrolments_;
  std::unique_ptr<HopServer> server_;
  std::unique_ptr<KeyRotation> rotation_;
  std::unique_ptr<Inbox> inbox_;
  GatewayStateBook below_;  // what the gateways below say of themselves
  GatewayMetrics metrics_;
  std::unique_ptr<HttpServer> http_;
  std::string revocations_;  // the list by which it was dropped last
  bool draining_ = false;
  Loop::TimerId second_timer_ = 0;
  Loop::TimerId sweep_timer_ = 0;
  Loop::TimerId drain_timer_ = 0;
};

}  // namespace tributary
