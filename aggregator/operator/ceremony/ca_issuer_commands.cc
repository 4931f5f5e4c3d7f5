#include <memory>
#include <set>

#include "aggregator/operator/ceremony/ca_commands.h"
#include "protocol/base/limits.h"
#include "protocol/trust/identity/authority_folder.h"
#include "protocol/trust/identity/revocation_list.h"

namespace tributary {
namespace {

// What the CA has revoked so far, beside its key: lists must grow, in number and in content.
constexpr const char* kRevokedFile = "crl.pem";
// For other programs that read the list; here the publication that carries it says how fresh it is.
constexpr Millis kListLifetime = kDay * 3650;

struct IssuerOptions {
  Path ca;
  Path out;
  std::string name;  // empty: made of the fleet's name and today's date
  int64_t days = 365;
};

struct RevokeOptions {
  Path ca;
  std::vector<Path> certificates;
  std::vector<std::string> serials;
  Path out;
};

// The CA in `folder`, not an issuer of it.
Result<CertificateAuthority> LoadCa(const Path& folder) {
  ASSIGN_OR_RETURN(CertificateAuthority authority, LoadAuthority(folder));
  if (!authority.chain().empty()) {
    return Fail(Code::kInvalidArgument,
                folder.string() + " is an issuer's folder; this takes the CA's, where ca.key is");
  }
  return authority;
}

Status MakeIssuer(const Context& context, IssuerOptions options) {
  ASSIGN_OR_RETURN(const CertificateAuthority ca, LoadCa(options.ca));
  const WallTime now = SystemClock().Now();
  if (options.name.empty()) options.name = (CommonName(ca.root()) + " issuer " + DateOf(now)).substr(0, 64);
  ASSIGN_OR_RETURN(const CertificateAuthority issuer,
                   ca.CreateIssuer(options.name, now + -kClockSlack, kClockSlack + kDay * options.days));
  ASSIGN_OR_RETURN(const Bytes publication_root, ReadPublicationRoot(options.ca));
  RETURN_IF_ERROR(SaveAuthority(issuer, options.out, publication_root));
  if (context.json()) {
    context.PrintObject(
        {{"issuer", options.name}, {"serial", SerialNumber(issuer.certificate())}, {"folder", options.out.string()}});
  }
  context.Say("issuer " + options.name + " is in " + options.out.string() +
              "\nThe CA's key may go offline now. If the issuer's key is ever stolen: tributary fleet revoke-issuer");
  return {};
}

// ---- revocation by the CA itself

// What the CA's list says so far: nothing before the first.
Result<RevocationList::Issuer> RevokedSoFar(const Path& folder, const TrustAnchor& anchor) {
  auto text = ReadFile(RealFileSystem(), folder / kRevokedFile, limits::kRevocationBytes);
  if (!text && text.error().code == Code::kNotFound) return RevocationList::Issuer();
  if (!text) return Fail(text.error());
  auto list = ReadRevocations(AsText(*text), anchor);
  if (!list) return Fail(list.error().code, (folder / kRevokedFile).string() + ": " + list.error().message);
  if (list->issuers.size() != 1 || !list->issuers.front().chain.empty()) {
    return Fail(Code::kMalformed, (folder / kRevokedFile).string() + " is not the CA's own list");
  }
  return std::move(list->issuers.front());
}

// The serial of a certificate in `file` that this very CA issued.
Result<std::string> SerialIn(const Path& file, const TrustAnchor& anchor) {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(RealFileSystem(), file, limits::kConfigBytes));
  ASSIGN_OR_RETURN(const std::vector<Certificate> chain, CertificatesFromPem(AsText(pem)));
  if (auto issuer = anchor.IssuerKey(std::span(chain).first(1)); !issuer) {
    return Fail(issuer.error().code, file.string() + ": " + issuer.error().message);
  }
  return SerialNumber(chain.front());
}

Status RevokeIssuer(const Context& context, const RevokeOptions& options) {
  if (options.certificates.empty() && options.serials.empty()) {
    return Fail(Code::kInvalidArgument, "nothing to revoke: give --issuer or --serial");
  }
  ASSIGN_OR_RETURN(const CertificateAuthority ca, LoadCa(options.ca));
  ASSIGN_OR_RETURN(const TrustAnchor anchor, TrustAnchor::FromCertificate(ca.root()));
  ASSIGN_OR_RETURN(RevocationList::Issuer revoked, RevokedSoFar(options.ca, anchor));
  for (const Path& file : options.certificates) {
    ASSIGN_OR_RETURN(std::string serial, SerialIn(file, anchor));
    revoked.serials.insert(std::move(serial));
  }
  revoked.serials.insert(options.serials.begin(), options.serials.end());
  ASSIGN_OR_RETURN(const Bytes crl,
                   SignRevocations(ca, ++revoked.number, revoked.serials, SystemClock().Now(), kListLifetime));
  const std::string pem = RevocationsToPem(std::vector<std::vector<Certificate>>{{}}, std::vector<Bytes>{crl});
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), options.ca / kRevokedFile, AsBytes(pem)));
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), options.out, AsBytes(pem)));
  if (context.json()) {
    context.PrintObject({{"number", revoked.number}, {"serials", revoked.serials}, {"file", options.out.string()}});
  }
  context.Say("revocation list " + std::to_string(revoked.number) + " of the CA, with " +
              std::to_string(revoked.serials.size()) + " certificates, is in " + options.out.string() +
              "\nPut it where the aggregator's aggregator.ca_revocations says: it goes out with the next publication.");
  return {};
}

}  // namespace

void AddFleetIssuerCommands(CLI::App& fleet, Context& context) {
  const auto issuer = std::make_shared<IssuerOptions>();
  CLI::App* command =
      fleet.add_subcommand("issuer", "Make an issuer, which may be online while the CA's key stays offline");
  command->add_option("--ca", issuer->ca, "The CA's folder")->required();
  command->add_option("--out", issuer->out, "Folder for issuer.pem, issuer.key (mode 0600), ca.pem and root.json")
      ->required();
  command->add_option("--name", issuer->name, "What it is called in certificates [FLEET issuer DATE]");
  command->add_option("--days", issuer->days, "Validity; its members' certificates end with it")
      ->check(CLI::Range(1, 36500))
      ->capture_default_str();
  command->callback(context.Run([&context, issuer] { return MakeIssuer(context, *issuer); }));

  const auto revoke = std::make_shared<RevokeOptions>();
  command = fleet.add_subcommand("revoke-issuer",
                                 "Sign the CA's own revocation list: issuers, and members that the CA itself issued");
  command->add_option("--ca", revoke->ca, "The CA's folder; its crl.pem keeps what was revoked before")->required();
  command->add_option("--issuer", revoke->certificates, "Certificate of an issuer (PEM): all its members fall with it");
  command->add_option("--serial", revoke->serials, "Serial number of a certificate by the CA, hexadecimal");
  command->add_option("--out", revoke->out, "File for the list (PEM)")->required();
  command->callback(context.Run([&context, revoke] { return RevokeIssuer(context, *revoke); }));
}

}  // namespace tributary
