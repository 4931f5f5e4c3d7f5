#pragma once

#include <map>
#include <memory>
#include <string>

#include "aggregator/publish/repository_files.h"
#include "protocol/base/clock.h"

namespace tributary {

// The publication folder as the running aggregator sees it (layout: repository_files.h): the newest offline metadata
// that verifies and that it holds the online keys for. People put a next root, targets or releases beside those that
// are there, and sign it one after the other; with the last signature that is missing, Refresh takes it up. Call order:
// Open, then anything. Borrows the file system; one thread.
class PublicationFolder {
 public:
  // kMissingData: a file or key that is needed is not there (names it); kBadSignature: no root of the folder verifies;
  // kPermissions: others may read an online key; kMalformed.
  static Result<PublicationFolder> Open(FileSystem& files, Path folder);

  const OfflineMetadata& offline() const { return current_.offline; }
  OnlineSigners signers() const { return {*current_.snapshot, *current_.timestamp, *current_.rounds}; }
  uint64_t root_version() const { return current_.root_version; }

  // Checks that members who trust `root` from the start believe what is signed here: it is one of the folder's roots.
  // An empty root means that the member was given none. kConflict.
  Status CheckTrusted(ByteView root) const;

  // The first of root, targets and releases to end. From then on members install nothing more.
  struct End {
    std::string role;
    WallTime at;
  };
  const End& first_end() const { return current_.first_end; }

  // Looks whether the folder has changed, and takes up what is newer and verifies: true then. A file that does not
  // verify yet is logged, once per change of the folder, and the files before it go on. Reads the folder's listing only when
  // nothing changed. Errors: those of the file system.
  Result<bool> Refresh();

 private:
  using Signers = std::map<Bytes, std::shared_ptr<Signer>>;  // by public key
  // Of every file: what changes when somebody signs it.
  using Fingerprint = std::map<std::string, uint64_t>;
  struct Repository {
    OfflineMetadata offline;
    uint64_t root_version = 0;
    uint64_t targets_version = 0;
    uint64_t releases_version = 0;
    End first_end;
    std::shared_ptr<Signer> snapshot, timestamp, rounds;
  };

  PublicationFolder(FileSystem& files, Path folder) : files_(&files), folder_(std::move(folder)) {}
  Result<Fingerprint> Look() const;
  Result<Signers> OpenSigners() const;
  Result<Repository> Read() const;
  // With the newest of `roots` as the last word.
  Result<Repository> Assemble(const std::vector<tuf::Metadata<tuf::Root>>& roots, const Signers& signers) const;

  FileSystem* files_;
  Path folder_;
  Fingerprint seen_;
  Repository current_;
};

}  // namespace tributary
