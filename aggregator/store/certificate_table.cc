#include "aggregator/store/certificate_table.h"

namespace tributary {
namespace {

#define TRIBUTARY_CERTIFICATE_COLUMNS "issuer, serial, member, chain, public_key, curve_key, issued, not_after, revoked"

// A chain in one column: each certificate after its length (u32, little endian).
Bytes EncodeChain(const std::vector<Bytes>& chain) {
  Bytes bytes;
  for (const Bytes& certificate : chain) {
    AppendU32(bytes, static_cast<uint32_t>(certificate.size()));
    Append(bytes, certificate);
  }
  return bytes;
}

Result<std::vector<Bytes>> DecodeChain(ByteView bytes) {
  std::vector<Bytes> chain;
  while (!bytes.empty()) {
    ASSIGN_OR_RETURN(const uint32_t size, TakeU32(bytes));
    ASSIGN_OR_RETURN(const ByteView certificate, TakeBytes(bytes, size));
    chain.push_back(ToBytes(certificate));
  }
  return chain;
}

Result<StoredCertificate> ReadCertificate(const Row& row) {
  StoredCertificate certificate;
  certificate.issuer_public_key = row.Blob(0);
  certificate.serial = row.Text(1);
  ASSIGN_OR_RETURN(certificate.member, DeviceId::Parse(row.Text(2)));
  ASSIGN_OR_RETURN(certificate.chain, DecodeChain(row.Blob(3)));
  certificate.public_key = row.Blob(4);
  certificate.curve_public_key = row.Blob(5);
  certificate.issued = {row.Int(6)};
  certificate.not_after = {row.Int(7)};
  certificate.revoked = row.Int(8) != 0;
  return certificate;
}

}  // namespace

Status CertificateTable::Insert(const StoredCertificate& certificate) {
  RETURN_IF_ERROR(database_.Execute("INSERT INTO certificates (" TRIBUTARY_CERTIFICATE_COLUMNS
                                    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (issuer, serial) DO NOTHING",
                                    certificate.issuer_public_key, certificate.serial, certificate.member,
                                    EncodeChain(certificate.chain), certificate.public_key,
                                    certificate.curve_public_key, certificate.issued.unix_millis,
                                    certificate.not_after.unix_millis, certificate.revoked));
  return {};
}

Result<std::optional<StoredCertificate>> CertificateTable::Find(ByteView issuer, const std::string& serial) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT " TRIBUTARY_CERTIFICATE_COLUMNS
                                                    " FROM certificates WHERE issuer = ? AND serial = ?",
                                                    issuer, serial));
  if (rows.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(StoredCertificate certificate, ReadCertificate(rows.front()));
  return certificate;
}

Result<std::vector<StoredCertificate>> CertificateTable::OfMember(const DeviceId& member) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT " TRIBUTARY_CERTIFICATE_COLUMNS " FROM certificates WHERE member = ? "
                                   "ORDER BY issued DESC, not_after DESC, serial",
                                   member));
  std::vector<StoredCertificate> certificates;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(StoredCertificate certificate, ReadCertificate(row));
    certificates.push_back(std::move(certificate));
  }
  return certificates;
}

Result<std::optional<DeviceId>> CertificateTable::OwnerOfKey(ByteView public_key) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT member FROM certificates WHERE public_key = ? ORDER BY issued LIMIT 1", public_key));
  if (rows.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(DeviceId member, DeviceId::Parse(rows.front().Text(0)));
  return member;
}

Status CertificateTable::RevokeAllOf(const DeviceId& member) {
  RETURN_IF_ERROR(database_.Execute("UPDATE certificates SET revoked = 1 WHERE member = ?", member));
  return {};
}

Result<std::set<std::string>> CertificateTable::Revoked(ByteView issuer, WallTime since) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT serial FROM certificates WHERE issuer = ? AND revoked <> 0 AND not_after > ?", issuer,
                      since.unix_millis));
  std::set<std::string> serials;
  for (const Row& row : rows) serials.insert(row.Text(0));
  return serials;
}

Status CertificateTable::ForgetBefore(WallTime since) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM certificates WHERE not_after < ?", since.unix_millis));
  return {};
}

Status CertificateTable::SaveList(const StoredRevocations& list) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO revocation_lists (issuer, number, chain, crl, ends) VALUES (?, ?, ?, ?, ?) ON CONFLICT (issuer) DO "
      "UPDATE SET number = excluded.number, chain = excluded.chain, crl = excluded.crl, ends = excluded.ends",
      list.issuer_public_key, list.number, EncodeChain(list.chain), list.crl, list.ends.unix_millis));
  return {};
}

Result<std::vector<StoredRevocations>> CertificateTable::Lists() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT issuer, number, chain, crl, ends FROM revocation_lists ORDER BY issuer"));
  std::vector<StoredRevocations> lists;
  for (const Row& row : rows) {
    StoredRevocations list;
    list.issuer_public_key = row.Blob(0);
    list.number = static_cast<uint64_t>(row.Int(1));
    ASSIGN_OR_RETURN(list.chain, DecodeChain(row.Blob(2)));
    list.crl = row.Blob(3);
    list.ends = {row.Int(4)};
    lists.push_back(std::move(list));
  }
  return lists;
}

}  // namespace tributary
