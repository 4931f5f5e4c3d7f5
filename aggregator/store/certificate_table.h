#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// A certificate that was issued here, or that a member showed. (issuer, serial) is its identity.
struct StoredCertificate {
  Bytes issuer_public_key;
  std::string serial;  // hexadecimal
  DeviceId member;
  std::vector<Bytes> chain;  // leaf first; empty: issued by hand, and only heard of
  Bytes public_key;
  Bytes curve_public_key;
  WallTime issued;  // or first seen
  WallTime not_after;
  bool revoked = false;
};

// The newest revocation list of one issuer. A former issuer's list stays as it was last signed.
struct StoredRevocations {
  Bytes issuer_public_key;
  uint64_t number = 0;
  std::vector<Bytes> chain;  // of the issuer, below the fleet's CA
  Bytes crl;                 // DER
  WallTime ends;
};

// Certificates by their issuers and members, and the issuers' lists.
class CertificateTable : Tables {
 public:
  using Tables::Tables;

  // Nothing happens when it is known.
  Status Insert(const StoredCertificate& certificate);
  Result<std::optional<StoredCertificate>> Find(ByteView issuer_public_key, const std::string& serial);
  // Newest first.
  Result<std::vector<StoredCertificate>> OfMember(const DeviceId& member);
  // The member who has a certificate for this key.
  Result<std::optional<DeviceId>> OwnerOfKey(ByteView public_key) {
    return database_.QueryFirst(FirstCell<DeviceId>,
                                "SELECT member FROM certificates WHERE public_key = ? ORDER BY issued LIMIT 1",
                                public_key);
  }
  Status RevokeAllOf(const DeviceId& member) {
    return database_.Write("UPDATE certificates SET revoked = 1 WHERE member = ?", member);
  }
  Status Revoke(ByteView issuer_public_key, const std::string& serial) {
    return database_.Write("UPDATE certificates SET revoked = 1 WHERE issuer = ? AND serial = ?", issuer_public_key,
                           serial);
  }
  // Serials of this issuer that are revoked and end after `since`.
  Result<std::set<std::string>> Revoked(ByteView issuer_public_key, WallTime since);
  // Those that ended before `since`.
  Status ForgetBefore(WallTime since) { return database_.Write("DELETE FROM certificates WHERE not_after < ?", since); }

  Status SaveList(const StoredRevocations& list);
  Result<std::vector<StoredRevocations>> Lists();
};

}  // namespace tributary
