#include "tests/support/repository_folder.h"

#include "protocol/trust/seal/signing.h"
#include "tests/support/must.h"

namespace tributary {

Path WriteRepositoryFolder(const TestRepository& repository, const Path& folder) {
  FileSystem& files = RealFileSystem();
  Must(files.CreateFolders(folder / "keys"));
  Must(WriteFileAtomically(files, folder / "1.root.json", repository.root()));
  Must(WriteFileAtomically(files, folder / "1.targets.json", repository.offline().targets));
  Must(WriteFileAtomically(files, folder / "1.releases.json", repository.offline().releases));
  Must(WriteSecretFile(folder / "keys/snapshot.pem", repository.snapshot_key.ToPem()));
  Must(WriteSecretFile(folder / "keys/timestamp.pem", repository.timestamp_key.ToPem()));
  Must(WriteSecretFile(folder / "keys/rounds.pem", repository.rounds_key.ToPem()));
  return folder;
}

}  // namespace tributary
