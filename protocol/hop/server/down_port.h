#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/catalogue/blob_store.h"
#include "protocol/hop/server/owner.h"
#include "protocol/hop/server/sessions.h"

namespace tributary {

// Serves what travels down from a hop server: the publication, pieces of blobs, and the terms of a session (how often
// to check in, the path up, the next certificates). The counterpart of the client's Subscriber and Fetcher. All on the
// loop's thread, but for the disk: pieces are read by `reader`, in the order in which they were asked for. Before the first
// piece of a blob its file is compared with the digest, once in the life of the process, and again when a client says that
// it fetched other bytes. Everything
// given to the constructor must outlive it. Memory: for one session never more than HopServerOptions::max_unread_bytes
// is being read or waits to be sent.
class DownPort final : public Sessions::Part {
 public:
  // `reader` is borrowed; null: a worker of its own.
  DownPort(Sessions& sessions, const BlobStore& blobs, HopServerObserver& observer, Executor* reader);
  ~DownPort() override;

  // See HopServer.
  void Publish(Bytes signed_publication, uint64_t number, uint64_t root_version);
  void SetPath(const std::vector<DeviceId>& above);
  Status SetNextIdentity(std::vector<Bytes> chain);

  // This server first, then those above it.
  const std::vector<DeviceId>& path() const { return path_; }
  hop::Terms TermsFor(Session& session) const;
  // An error closes the session.
  Status OnCheckIn(Session& session, hop::CheckIn check_in);
  Status OnFetch(Session& session, const hop::Fetch& fetch);

 private:
  using Version = std::pair<uint64_t, uint64_t>;  // root version and number of a publication
  struct Given {
    Version version{0, 0};
    Millis at{0};
  };

  void OnForgotten(const Session& session) override {
    given_.erase(session.serial);
    asked_.erase(session.serial);
  }
  // Whether the member holds a publication that this server's own ones do not account for.
  bool IsAhead(const hop::CheckIn& check_in) const;
  // Whether a publication goes along with the answer to somebody who holds this one.
  bool Gives(const Session& session, Version held);
  void RefuseFetch(const Session& session, const hop::Fetch& fetch, const Error& error);
  struct PieceOfBlob {
    uint64_t blob_size = 0;
    Bytes bytes;
  };
  // Reads from the disk; on any thread.
  static Result<PieceOfBlob> Read(const BlobStore& blobs, const hop::Fetch& fetch, bool again);
  // Whether the file is to be read for its digest whatever is known of it. Seldom: to read a model takes long.
  bool ChecksAgain(const hop::Fetch& fetch);
  void OnRead(const Sessions::Route& route, uint64_t serial, const hop::Fetch& fetch, const Result<PieceOfBlob>& piece);
  void Notify(const Session& session) { sessions_.Send(session.route, hop::Notice{version_.second}); }

  Sessions& sessions_;
  const BlobStore& blobs_;
  HopServerObserver& observer_;
  std::unique_ptr<WorkerPool> own_reader_;
  Executor& reader_;
  Bytes publication_;
  Version version_{0, 0};
  Digest digest_;  // of publication_
  std::vector<DeviceId> path_;
  std::vector<Bytes> next_chain_;
  std::unordered_map<uint64_t, Given> given_;  // by session: the publication it was given last
  std::map<Digest, Millis> checked_again_;
  std::set<uint64_t> asked_;  // the sessions that may bring a publication with the next check-in
  // For reads that are finished after its end.
  std::shared_ptr<std::atomic<bool>> alive_ = std::make_shared<std::atomic<bool>>(true);
};

}  // namespace tributary
