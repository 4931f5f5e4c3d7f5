#include "aggregator/operator/ceremony/ca_commands.h"

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/limits.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"

namespace tributary {
namespace {

constexpr Millis kDay{24ll * 3600 * 1000};
// Certificates are valid from this long before they are made: a member whose clock is behind, or is set back, is not
// refused for it.
constexpr Millis kClockSlack = kDay;

// The options of `tributary ca …`; each command reads its own.
struct CaOptions {
  Path ca;  // the CA's folder, or an issuer's
  std::string name;
  int64_t days = 365;
  std::string role;
  std::string id;
  std::string device_class;
  uint32_t count = 0;  // 0: one identity, of exactly that id
  Path out;
  Path identity;
  std::vector<Path> certificates;
  std::vector<std::string> serials;
};

// ---- identities

Status InitCa(const Context& context, const CaOptions& options) {
  RETURN_IF_ERROR(CheckName(options.name, "fleet name"));
  const auto authority =
      CertificateAuthority::Create(options.name, SystemClock().Now() + -kClockSlack, kClockSlack + kDay * options.days);
  RETURN_IF_ERROR(SaveAuthority(authority, options.ca, {}));
  const std::string folder = options.ca.string();
  context.PrintOutcome(
      {{"fleet", options.name}, {"folder", folder}},
      "fleet {0}: its CA is in {1}\n"
      "Keep ca.key secret and backed up: whoever has it can issue members. Better still, keep it offline and let an\n"
      "issuer work in its place: tributary ca issuer --ca {1} --out aggregator/issuer",
      options.name, folder);
  return {};
}

Status IssueIdentities(const Context& context, const CaOptions& options) {
  const bool has_class = options.role == "device" || options.role == "evaluator";
  if (!has_class && !options.device_class.empty())
    return Fail(Code::kInvalidArgument, "a {} has no --class", options.role);
  ASSIGN_OR_RETURN(const CertificateAuthority authority, LoadAuthority(options.ca));
  ASSIGN_OR_RETURN(const Bytes publication_root, ReadPublicationRoot(options.ca));
  Subject subject;
  subject.role = RoleByName(options.role).value();  // CLI11 has checked it
  subject.device_class = has_class && options.device_class.empty() ? "default" : options.device_class;
  Json made = Json::array();
  for (uint32_t i = 0; i < std::max(options.count, 1u); ++i) {
    // Three digits at least, so that the first thousand sort as they count.
    const std::string id = options.count == 0 ? options.id : fmt::format("{}-{:03}", options.id, i);
    const Path folder = options.count == 0 ? options.out : options.out / id;
    ASSIGN_OR_RETURN(subject.id, DeviceId::Parse(id));
    RETURN_IF_ERROR(IssueIdentity(authority, subject, folder, SystemClock().Now() + -kClockSlack,
                                  kClockSlack + kDay * options.days, publication_root));
    made.push_back({{"id", id}, {"role", options.role}, {"folder", folder.string()}});
  }
  context.PrintList({{"items", made}}, Columns("ID id, ROLE role, FOLDER folder"));
  return {};
}

// For identities that nobody else renews: of an aggregator without an issuer, of a member that was away for too long.
// The certificate may be over already.
Status RenewIdentity(const Context& context, const CaOptions& options) {
  ASSIGN_OR_RETURN(const CertificateAuthority authority, LoadAuthority(options.ca));
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(RealFileSystem(), options.identity / "cert.pem", limits::kConfigBytes));
  ASSIGN_OR_RETURN(const std::vector<Certificate> present, CertificatesFromPem(AsText(pem)));
  ASSIGN_OR_RETURN(const Subject subject, ReadSubject(present.front()));
  ASSIGN_OR_RETURN(const SecretBytes key_pem, ReadSecretFile(options.identity / "key.pem"));
  ASSIGN_OR_RETURN(const SigningKey key, SigningKey::FromPem(key_pem));
  const WallTime now = SystemClock().Now();
  ASSIGN_OR_RETURN(Certificate renewed,
                   authority.Issue(subject, key.public_key(), now + -kClockSlack, kClockSlack + kDay * options.days));
  std::vector<Bytes> chain{std::move(renewed.der)};
  for (const Certificate& above : authority.chain()) chain.push_back(above.der);
  RETURN_IF_ERROR(SaveCertificate(RealFileSystem(), options.identity, chain, now));
  // Its issuer's certificate may end first.
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(options.identity, now));
  ASSIGN_OR_RETURN(const VerifiedIdentity verified, identity.anchor.Verify(chain, now));
  const std::string ends = DateOf(verified.not_after);
  context.PrintOutcome({{"id", subject.id.text()}, {"folder", options.identity.string()}, {"ends", ends}},
                       "{} has another certificate, for the keys it has, in {}; it ends on {}\n"
                       "A program that runs with it takes it up when it starts again.",
                       subject.id.text(), options.identity.string(), ends);
  return {};
}

Status PrintKey(const Context&, const CaOptions& options) {
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(options.identity, SystemClock().Now()));
  std::cout << ToHex(identity.subject.curve_public_key) << "\n";
  return {};
}

// ---- issuers

// The CA's revocations so far, beside its key: lists must grow, in number and in content.
constexpr const char* kRevokedFile = "crl.pem";
// This is for other programs that read the list; here the publication that carries it says how fresh it is.
constexpr Millis kListLifetime = kDay * 3650;

// The CA in `folder`, not an issuer of it.
Result<CertificateAuthority> LoadCa(const Path& folder) {
  ASSIGN_OR_RETURN(CertificateAuthority authority, LoadAuthority(folder));
  if (!authority.chain().empty()) {
    return Fail(Code::kInvalidArgument, "{} is an issuer's folder; this takes the CA's, where ca.key is",
                folder.string());
  }
  return authority;
}

Status MakeIssuer(const Context& context, const CaOptions& options) {
  ASSIGN_OR_RETURN(const CertificateAuthority ca, LoadCa(options.ca));
  const WallTime now = SystemClock().Now();
  const std::string name = options.name.empty()
                               ? fmt::format("{} issuer {}", CommonName(ca.root()), DateOf(now)).substr(0, 64)
                               : options.name;
  ASSIGN_OR_RETURN(const CertificateAuthority issuer,
                   ca.CreateIssuer(name, now + -kClockSlack, kClockSlack + kDay * options.days));
  ASSIGN_OR_RETURN(const Bytes publication_root, ReadPublicationRoot(options.ca));
  RETURN_IF_ERROR(SaveAuthority(issuer, options.out, publication_root));
  context.PrintOutcome(
      {{"issuer", name}, {"serial", SerialNumber(issuer.certificate())}, {"folder", options.out.string()}},
      "issuer {} is in {}\nThe CA's key may go offline now. If the issuer's key is ever stolen: "
      "tributary ca revoke-issuer",
      name, options.out.string());
  return {};
}

// The CA's list so far; an empty one before the first.
Result<RevocationList::Issuer> RevokedSoFar(const Path& folder, const TrustAnchor& anchor) {
  auto text = ReadFile(RealFileSystem(), folder / kRevokedFile, limits::kRevocationBytes);
  if (!text && text.error().code == Code::kNotFound) return RevocationList::Issuer();
  if (!text) return Fail(text.error());
  ASSIGN_OR_RETURN(RevocationList list, InFile(ReadRevocations(AsText(*text), anchor), folder / kRevokedFile));
  if (list.issuers.size() != 1 || !list.issuers.front().chain.empty()) {
    return Fail(Code::kMalformed, "{} is not the CA's own list", (folder / kRevokedFile).string());
  }
  return std::move(list.issuers.front());
}

// The serial of a certificate in `file` that this very CA issued.
Result<std::string> SerialIn(const Path& file, const TrustAnchor& anchor) {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(RealFileSystem(), file, limits::kConfigBytes));
  ASSIGN_OR_RETURN(const std::vector<Certificate> chain, CertificatesFromPem(AsText(pem)));
  RETURN_IF_ERROR(InFile(anchor.IssuerKey(std::span(chain).first(1)), file));
  return SerialNumber(chain.front());
}

Status RevokeIssuer(const Context& context, const CaOptions& options) {
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
  const std::string pem = RevocationsToPem({}, crl);
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), options.ca / kRevokedFile, AsBytes(pem)));
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), options.out, AsBytes(pem)));
  context.PrintOutcome(
      {{"number", revoked.number}, {"serials", revoked.serials}, {"file", options.out.string()}},
      "revocation list {} of the CA, with {} certificates, is in {}\n"
      "Put it where the aggregator's aggregator.ca_revocations says: it goes out with the next publication.",
      revoked.number, revoked.serials.size(), options.out.string());
  return {};
}

// ---- the commands

using CaCommand = CommandWith<CaOptions>;

void AddValidity(const CaCommand& step, const std::string& help) {
  step.command->add_option("--days", step.options.days, help)->check(CLI::Range(1, 36500))->capture_default_str();
}

void AddInit(CLI::App& ca, Context& context) {
  const CaCommand init = AddCommandWith<CaOptions>(ca, context, "init", "Create the CA of a new fleet", &InitCa);
  init.options.days = 3650;
  init.command->add_option("--dir", init.options.ca, "Folder to write ca.pem and ca.key (mode 0600) to")->required();
  init.command->add_option("--name", init.options.name, "The fleet's name")->required();
  AddValidity(init, "Days for which the certificate is valid");
}

void AddIssuerCommands(CLI::App& ca, Context& context) {
  const CaCommand issuer = AddCommandWith<CaOptions>(
      ca, context, "issuer", "Make an issuer, which may be online while the CA's key stays offline", &MakeIssuer);
  CLI::App* command = issuer.command;
  command->add_option("--ca", issuer.options.ca, "The CA's folder")->required();
  command
      ->add_option("--out", issuer.options.out, "Folder for issuer.pem, issuer.key (mode 0600), ca.pem and root.json")
      ->required();
  command->add_option("--name", issuer.options.name, "The issuer's name in certificates [FLEET issuer DATE]");
  AddValidity(issuer, "Days for which the issuer is valid; its members' certificates end with it");

  const auto [revoke, options] = AddCommandWith<CaOptions>(
      ca, context, "revoke-issuer", "Sign the CA's own revocation list: issuers, and members that the CA itself issued",
      &RevokeIssuer);
  revoke->add_option("--ca", options.ca, "The CA's folder; its crl.pem keeps the earlier revocations")->required();
  revoke->add_option("--issuer", options.certificates, "Certificate of an issuer (PEM): all its members fall with it");
  revoke->add_option("--serial", options.serials, "Serial number of a certificate by the CA, hexadecimal");
  revoke->add_option("--out", options.out, "File for the list (PEM)")->required();
}

void AddIdentityCommands(CLI::App& ca, Context& context) {
  const CaCommand issue = AddCommandWith<CaOptions>(
      ca, context, "issue", "Issue identities: a folder each, with a certificate and keys", &IssueIdentities);
  const auto& [command, options] = issue;
  command->add_option("--ca", options.ca, "The CA's folder, or an issuer's; its root.json goes into the identities")
      ->required();
  command->add_option("--role", options.role, "What the member may do in the fleet")
      ->required()
      ->check(CLI::IsMember({"device", "evaluator", "gateway", "aggregator"}));
  command
      ->add_option("--id", options.id, "The member's id, unique in the fleet; with --count, the beginning of the ids")
      ->required();
  command->add_option("--class", options.device_class, "Device class of a device or evaluator [default]");
  command->add_option("--out", options.out, "The identity folder to make; with --count, the folder that holds them all")
      ->required();
  command->add_option("--count", options.count, "How many identities to issue: ID-000, ID-001 … [one, ID]")
      ->check(CLI::Range(1, 1'000'000));
  AddValidity(issue, "Days for which the certificate is valid");

  const CaCommand renew = AddCommandWith<CaOptions>(
      ca, context, "renew", "Make another certificate for an identity's own keys, even when the present one is over",
      &RenewIdentity);
  renew.command->footer(
      "Members and an aggregator with an issuer renew by themselves; this is for those that could not.");
  renew.command->add_option("--ca", renew.options.ca, "The CA's folder, or an issuer's")->required();
  AddValidity(renew, "Days for which the certificate is valid");
  renew.command->add_option("dir", renew.options.identity, "The identity folder")->required();

  const CaCommand key = AddCommandWith<CaOptions>(
      ca, context, "key", "Print a member's CURVE public key: the server_key of those that connect to it", &PrintKey);
  key.command->add_option("dir", key.options.identity, "The member's identity folder")->required();
}

}  // namespace

// RFC 3339 begins with the date.
std::string DateOf(WallTime time) { return Rfc3339(time).substr(0, 10); }

void AddCaCommands(CLI::App& app, Context& context) {
  CLI::App* ca = AddGroup(app, "ca", "Identities: the fleet's CA, its issuers and its members (needs no aggregator)");
  AddInit(*ca, context);
  AddIssuerCommands(*ca, context);
  AddIdentityCommands(*ca, context);
}

}  // namespace tributary
