#pragma once

#include <string>
#include <vector>

#include "protocol/bundle/receipt.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The receipts of one bundle: <bundle>/receipts/<server id>-<n>.receipt. Resource type, not thread safe; files must
// outlive it.
class ReceiptFolder {
 public:
  // Only reads until Write.
  ReceiptFolder(FileSystem& files, const Path& bundle);

  // Whole and durable on return, under a name that was free. kReadOnly, kDiskFull, kIo, kForbidden.
  Status Write(const Identity& server, WallTime now, const std::vector<UploadId>& uploads);

  struct Entry {
    std::string name;
    Bytes bytes;
    Result<Receipt> receipt;  // verified, or why not
  };
  // Every receipt on the disk; a bundle without any is none. Errors: those of FileSystem.
  Result<std::vector<Entry>> ReadAll(const TrustAnchor& anchor, WallTime now) const;

 private:
  FileSystem& files_;
  Path folder_;
};

}  // namespace tributary
