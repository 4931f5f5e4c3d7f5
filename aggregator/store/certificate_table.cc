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
  Bytes chain;
  RETURN_IF_ERROR(row.Into(certificate.issuer_public_key, certificate.serial, certificate.member, chain,
                           certificate.public_key, certificate.curve_public_key, certificate.issued,
                           certificate.not_after, certificate.revoked));
  ASSIGN_OR_RETURN(certificate.chain, DecodeChain(chain));
  return certificate;
}

Result<StoredRevocations> ReadList(const Row& row) {
  StoredRevocations list;
  Bytes chain;
  RETURN_IF_ERROR(row.Into(list.issuer_public_key, list.number, chain, list.crl, list.ends));
  ASSIGN_OR_RETURN(list.chain, DecodeChain(chain));
  return list;
}

}  // namespace

Status CertificateTable::Insert(const StoredCertificate& certificate) {
  return database_.Write("INSERT INTO certificates (" TRIBUTARY_CERTIFICATE_COLUMNS
                         ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (issuer, serial) DO NOTHING",
                         certificate.issuer_public_key, certificate.serial, certificate.member,
                         EncodeChain(certificate.chain), certificate.public_key, certificate.curve_public_key,
                         certificate.issued, certificate.not_after, certificate.revoked);
}

Result<std::optional<StoredCertificate>> CertificateTable::Find(ByteView issuer, const std::string& serial) {
  return database_.QueryFirst(
      ReadCertificate, "SELECT " TRIBUTARY_CERTIFICATE_COLUMNS " FROM certificates WHERE issuer = ? AND serial = ?",
      issuer, serial);
}

Result<std::vector<StoredCertificate>> CertificateTable::OfMember(const DeviceId& member) {
  return database_.QueryAs(ReadCertificate,
                           "SELECT " TRIBUTARY_CERTIFICATE_COLUMNS
                           " FROM certificates WHERE member = ? ORDER BY issued DESC, not_after DESC, serial",
                           member);
}

Result<std::set<std::string>> CertificateTable::Revoked(ByteView issuer, WallTime since) {
  ASSIGN_OR_RETURN(
      const auto serials,
      database_.QueryAs(FirstCell<std::string>,
                        "SELECT serial FROM certificates WHERE issuer = ? AND revoked <> 0 AND not_after > ?", issuer,
                        since));
  return std::set<std::string>(serials.begin(), serials.end());
}

Status CertificateTable::SaveList(const StoredRevocations& list) {
  return database_.Write(
      "INSERT INTO revocation_lists (issuer, number, chain, crl, ends) VALUES (?, ?, ?, ?, ?) ON CONFLICT (issuer) DO "
      "UPDATE SET number = excluded.number, chain = excluded.chain, crl = excluded.crl, ends = excluded.ends",
      list.issuer_public_key, list.number, EncodeChain(list.chain), list.crl, list.ends);
}

Result<std::vector<StoredRevocations>> CertificateTable::Lists() {
  return database_.QueryAs(ReadList, "SELECT issuer, number, chain, crl, ends FROM revocation_lists ORDER BY issuer");
}

}  // namespace tributary
