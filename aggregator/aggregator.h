#pragma once

#include <memory>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/api_token_store.h"
#include "aggregator/api/attempt_limit.h"
#include "aggregator/api/event_feed.h"
#include "aggregator/api/staging_routes.h"
#include "aggregator/enrol/enrolment_office.h"
#include "aggregator/enrol/own_certificate.h"
#include "aggregator/intake/receiver.h"
#include "aggregator/metrics.h"
#include "aggregator/options.h"
#include "aggregator/publish/tuf_shelf.h"
#include "aggregator/round/core.h"
#include "aggregator/watch/settled_clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/http/http_server.h"
#include "protocol/hop/server/server.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// The root of the tree. Wires the parts; each part's header says what it does. Three threads matter: the loop owns
// sockets and sessions, the core owns everything that counts (round/core.h, the database), the staging worker owns the
// staged uploads; the HTTP threads only ask the core. Call order: Open, Run (on the loop's thread, until Stop),
// destroy.
class Aggregator final : private HopServer::Observer, private Core::Listener {
 public:
  // Everything that can be wrong with configuration, identities, data folder or ports shows here.
  static Result<std::unique_ptr<Aggregator>> Open(const AggregatorOptions& options, const Clock& clock, Random& random,
                                                  FileSystem& files);
  ~Aggregator() override;

  void Run();
  // From any thread.
  void Stop() { loop_.Stop(); }
  Executor& executor() { return loop_; }
  // Where it listens, with the real port.
  const std::string& endpoint() const { return server_->endpoint(); }

 private:
  Aggregator(const AggregatorOptions& options, Identity identity, PublicationFolder repository,
             SealingKeys sealing_keys, FileLock lock, const Clock& clock, Random& random);
  Status OpenCore(FileSystem& files);
  Status OpenHop(FileSystem& files);
  Status OpenHttp();
  MemberParts MembersForApi();
  StagingParts StagingForApi();
  void Tick();
  void LookAtClock();
  // kDamagedBlob. On any thread.
  Status HasItsBlobs() const;
  // `own_end`: of this aggregator's certificate.
  AggregatorMetrics::Core Sample(WallTime own_end);

  // HopServer::Observer, on the loop.
  void OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) override;
  void OnRefusedUpload(const UploadSubject* subject, const Error& error) override;
  void OnIdentityTwice(const DeviceId& member) override;
  bool WantsPublication(const VerifiedIdentity& member, const hop::CheckIn& check_in) override;
  void OnMissingBlob(const Digest& blob, const Error& why) override;
  // Core::Listener, on the core.
  void OnPublication(const Bytes& publication, uint64_t number, uint64_t root_version) override;
  void OnCustody(const std::vector<UploadId>& uploads) override {
    if (receiver_) receiver_->OnCustody(uploads);
  }
  void OnEvent(const CoreEvent& event) override { events_->Publish(event); }

  AggregatorOptions options_;
  Identity identity_;
  PublicationFolder repository_;
  SealingKeys sealing_keys_;  // the core's, once it runs
  FileLock lock_;
  SettledClock clock_;
  Random& random_;
  Loop loop_;
  AggregatorMetrics metrics_;
  std::unique_ptr<EventFeed> events_;
  TufShelf tuf_;
  std::unique_ptr<ApiTokenStore> tokens_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<EnrolmentOffice> enrolment_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<WorkerPool> noise_worker_ = std::make_unique<WorkerPool>("noise", 1);
  std::unique_ptr<CoreDesk> desk_;
  std::unique_ptr<OwnCertificate> own_certificate_;
  std::unique_ptr<WorkerPool> staging_worker_ = std::make_unique<WorkerPool>("staging", 1);
  std::unique_ptr<Spool> staging_;
  std::unique_ptr<SpoolReader> staging_reader_;  // for HTTP's threads
  std::unique_ptr<Receiver> receiver_;
  std::unique_ptr<HopServer> server_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<WorkerPool> core_thread_;
  Loop::TimerId tick_timer_ = 0;
  Millis last_metrics_{-1'000};
  Millis last_cleaning_{0};
  std::optional<Millis> last_ask_;          // when a member was last asked for its publication
  AttemptLimit asked_{1, Millis(600'000)};  // each member so seldom: one that claims the highest takes no other's turn
  bool clock_settled_ = true;               // as the log says
};

}  // namespace tributary
