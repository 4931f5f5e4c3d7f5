#pragma once

#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The aggregator's word that it has custody of these uploads, so that whoever brought them on a disk may delete its
// own. It is carried back on the disk.
//
// Only the aggregator gives receipts, because it alone never passes custody on. Were a gateway's receipts honoured, two
// disks could meet in a circle: one gateway deletes because a second one took over, and that one because the first did.
// And a gateway could make others drop uploads that never came its way (DESIGN section 7).
//
//   receipt := "TRIBRCPT" version:u32 signature[64] chain_count:u32 (size:u32 certificate)* body
//   body    := server_size:u32 server_id taken_at:u64 count:u32 (upload id[16])*        nothing follows
//
// Integers are little endian, `taken_at` is in milliseconds since 1970, the chain is leaf first. The signature
// (Ed25519, by the leaf's key) is over "tributary custody receipt v1\n" and the body, so no other signature of the
// fleet can stand in for one. For example the body of aggregator "a1" for one upload at second 1,800,000,000:
//
//   02 00 00 00  61 31   00 50 5c 18 a3 01 00 00   01 00 00 00   (16 bytes of id)
struct Receipt {
  DeviceId server;
  WallTime taken_at;
  std::vector<UploadId> uploads;
  bool operator==(const Receipt&) const = default;
};

// More uploads take more receipts.
inline constexpr size_t kReceiptUploads = 4'096;
inline constexpr size_t kReceiptBytes = size_t{128} * 1024;

// As parsed; nothing of it is believed yet.
struct SignedReceipt {
  Receipt receipt;
  Bytes body;
  Bytes signature;
  std::vector<Bytes> chain;
};

// By the aggregator's own identity. At most kReceiptUploads (checked).
Bytes MakeReceipt(const Identity& server, WallTime now, const std::vector<UploadId>& uploads);
// Form and limits only. kMalformed, kTooLarge, kVersionUnsupported.
Result<SignedReceipt> ParseReceipt(ByteView bytes);
// Form, chain, role (aggregator) and signature, at `now`. Errors: those of ParseReceipt and
// TrustAnchor::Verify, kWrongRole, kWrongIdentity, kBadSignature.
Result<Receipt> VerifyReceipt(ByteView bytes, const TrustAnchor& anchor, WallTime now);

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
