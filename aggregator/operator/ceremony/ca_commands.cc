#include "aggregator/operator/ceremony/ca_commands.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"

namespace tributary {
namespace {

constexpr Millis kDay{24ll * 3600 * 1000};
// Certificates are valid from this long before they are made: a member whose clock is behind, or is set back, is not
// refused for it.
constexpr Millis kClockSlack = kDay;

// ---- identities

struct CaOptions {
  Path folder;
  std::string name;
  int64_t days = 3650;
};

struct IssueOptions {
  Path ca;
  std::string role;
  std::string id;
  std::string device_class;
  Path out;
  uint32_t count = 0;  // 0: one identity, of exactly that id
  int64_t days = 365;
};

struct IdentityRenewal {
  Path ca;
  Path identity;
  int64_t days = 365;
};

Status InitCa(const Context& context, const CaOptions& options) {
  RETURN_IF_ERROR(CheckName(options.name, "fleet name"));
  const auto authority =
      CertificateAuthority::Create(options.name, SystemClock().Now() + -kClockSlack, kClockSlack + kDay * options.days);
  RETURN_IF_ERROR(SaveAuthority(authority, options.folder, {}));
  if (context.json()) context.PrintObject({{"fleet", options.name}, {"folder", options.folder.string()}});
  context.Say(fmt::format(
      "fleet {}: its CA is in {}\n"
      "Keep ca.key secret and backed up: whoever has it can issue members. Better still, keep it offline and let an\n"
      "issuer work in its place: tributary ca issuer --ca {} --out aggregator/issuer",
      options.name, options.folder.string(), options.folder.string()));
  return {};
}

// "device" and 7 of 20: "device-007". Three digits at least, so that the first thousand sort as they count.
std::string NumberedId(const std::string& id, uint32_t number) { return fmt::format("{}-{:03}", id, number); }

struct Issuing {
  CertificateAuthority authority;
  Bytes publication_root;
};

Status IssueOne(const Issuing& issuing, const IssueOptions& options, const std::string& id, const Path& folder) {
  Subject subject;
  ASSIGN_OR_RETURN(subject.id, DeviceId::Parse(id));
  subject.role = RoleByName(options.role).value();  // CLI11 has checked it
  subject.device_class = options.device_class;
  return IssueIdentity(issuing.authority, subject, folder, SystemClock().Now() + -kClockSlack,
                       kClockSlack + kDay * options.days, issuing.publication_root);
}

Status IssueIdentities(const Context& context, IssueOptions options) {
  const bool has_class = options.role == "device" || options.role == "evaluator";
  if (!has_class && !options.device_class.empty())
    return Fail(Code::kInvalidArgument, "a {} has no --class", options.role);
  if (has_class && options.device_class.empty()) options.device_class = "default";
  ASSIGN_OR_RETURN(CertificateAuthority authority, LoadAuthority(options.ca));
  ASSIGN_OR_RETURN(Bytes publication_root, ReadPublicationRoot(options.ca));
  const Issuing issuing{std::move(authority), std::move(publication_root)};
  Json made = Json::array();
  for (uint32_t i = 0; i < std::max(options.count, 1u); ++i) {
    const std::string id = options.count == 0 ? options.id : NumberedId(options.id, i);
    const Path folder = options.count == 0 ? options.out : options.out / id;
    RETURN_IF_ERROR(IssueOne(issuing, options, id, folder));
    made.push_back({{"id", id}, {"role", options.role}, {"folder", folder.string()}});
  }
  context.PrintList({{"items", made}}, {{"ID", "id"}, {"ROLE", "role"}, {"FOLDER", "folder"}});
  return {};
}

// For identities that nobody else renews: of an aggregator without an issuer, of a member that was away for too long.
// The certificate may be over already.
Status RenewIdentity(const Context& context, const IdentityRenewal& options) {
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
  if (context.json())
    context.PrintObject({{"id", subject.id.text()}, {"folder", options.identity.string()}, {"ends", ends}});
  context.Say(
      fmt::format("{} has another certificate, for the keys it has, in {}; it ends on {}\n"
                  "A program that runs with it takes it up when it starts again.",
                  subject.id.text(), options.identity.string(), ends));
  return {};
}

Status PrintKey(const Path& folder) {
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(folder, SystemClock().Now()));
  std::cout << ToHex(identity.subject.curve_public_key) << "\n";
  return {};
}

void AddIssueCommand(CLI::App& ca, Context& context) {
  const auto issue = std::make_shared<IssueOptions>();
  CLI::App* command = ca.add_subcommand("issue", "Issue identities: a folder each, with a certificate and keys");
  command->add_option("--ca", issue->ca, "The CA's folder, or an issuer's; its root.json goes into the identities")
      ->required();
  command->add_option("--role", issue->role, "The part it may play")
      ->required()
      ->check(CLI::IsMember({"device", "evaluator", "gateway", "aggregator"}));
  command->add_option("--id", issue->id, "Its id, unique in the fleet; with --count, the beginning of the ids")
      ->required();
  command->add_option("--class", issue->device_class, "Device class of a device or evaluator [default]");
  command->add_option("--out", issue->out, "Its folder; with --count, the folder that holds theirs")->required();
  command->add_option("--count", issue->count, "Issue that many: ID-000, ID-001 …")->check(CLI::Range(1, 1'000'000));
  command->add_option("--days", issue->days, "Validity in days")->check(CLI::Range(1, 36500))->capture_default_str();
  command->callback(context.Run([&context, issue] { return IssueIdentities(context, *issue); }));
}

void AddRenewCommand(CLI::App& ca, Context& context) {
  const auto renew = std::make_shared<IdentityRenewal>();
  CLI::App* command = ca.add_subcommand(
      "renew", "Make another certificate for an identity's own keys, even when the present one is over");
  command->footer("Members and an aggregator with an issuer renew by themselves; this is for those that could not.");
  command->add_option("--ca", renew->ca, "The CA's folder, or an issuer's")->required();
  command->add_option("--days", renew->days, "Validity in days")->check(CLI::Range(1, 36500))->capture_default_str();
  command->add_option("dir", renew->identity, "The identity folder")->required();
  command->callback(context.Run([&context, renew] { return RenewIdentity(context, *renew); }));
}

// ---- issuers

// The CA's revocations so far, beside its key: lists must grow, in number and in content.
constexpr const char* kRevokedFile = "crl.pem";
// This is for other programs that read the list; here the publication that carries it says how fresh it is.
constexpr Millis kListLifetime = kDay * 3650;

struct IssuerOptions {
  Path ca;
  Path out;
  std::string name;  // empty: made of the fleet's name and today's date
  int64_t days = 365;
};

struct IssuerRevocation {
  Path ca;
  std::vector<Path> certificates;
  std::vector<std::string> serials;
  Path out;
};

// The CA in `folder`, not an issuer of it.
Result<CertificateAuthority> LoadCa(const Path& folder) {
  ASSIGN_OR_RETURN(CertificateAuthority authority, LoadAuthority(folder));
  if (!authority.chain().empty()) {
    return Fail(Code::kInvalidArgument, "{} is an issuer's folder; this takes the CA's, where ca.key is",
                folder.string());
  }
  return authority;
}

Status MakeIssuer(const Context& context, IssuerOptions options) {
  ASSIGN_OR_RETURN(const CertificateAuthority ca, LoadCa(options.ca));
  const WallTime now = SystemClock().Now();
  if (options.name.empty())
    options.name = fmt::format("{} issuer {}", CommonName(ca.root()), DateOf(now)).substr(0, 64);
  ASSIGN_OR_RETURN(const CertificateAuthority issuer,
                   ca.CreateIssuer(options.name, now + -kClockSlack, kClockSlack + kDay * options.days));
  ASSIGN_OR_RETURN(const Bytes publication_root, ReadPublicationRoot(options.ca));
  RETURN_IF_ERROR(SaveAuthority(issuer, options.out, publication_root));
  if (context.json()) {
    context.PrintObject(
        {{"issuer", options.name}, {"serial", SerialNumber(issuer.certificate())}, {"folder", options.out.string()}});
  }
  context.Say(
      fmt::format("issuer {} is in {}\nThe CA's key may go offline now. If the issuer's key is ever stolen: "
                  "tributary ca revoke-issuer",
                  options.name, options.out.string()));
  return {};
}

// The CA's list so far; an empty one before the first.
Result<RevocationList::Issuer> RevokedSoFar(const Path& folder, const TrustAnchor& anchor) {
  auto text = ReadFile(RealFileSystem(), folder / kRevokedFile, limits::kRevocationBytes);
  if (!text && text.error().code == Code::kNotFound) return RevocationList::Issuer();
  if (!text) return Fail(text.error());
  auto list = ReadRevocations(AsText(*text), anchor);
  if (!list) return Fail(list.error().code, "{}: {}", (folder / kRevokedFile).string(), list.error().message);
  if (list->issuers.size() != 1 || !list->issuers.front().chain.empty()) {
    return Fail(Code::kMalformed, "{} is not the CA's own list", (folder / kRevokedFile).string());
  }
  return std::move(list->issuers.front());
}

// The serial of a certificate in `file` that this very CA issued.
Result<std::string> SerialIn(const Path& file, const TrustAnchor& anchor) {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(RealFileSystem(), file, limits::kConfigBytes));
  ASSIGN_OR_RETURN(const std::vector<Certificate> chain, CertificatesFromPem(AsText(pem)));
  if (auto issuer = anchor.IssuerKey(std::span(chain).first(1)); !issuer) {
    return Fail(issuer.error().code, "{}: {}", file.string(), issuer.error().message);
  }
  return SerialNumber(chain.front());
}

Status RevokeIssuer(const Context& context, const IssuerRevocation& options) {
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
  if (context.json()) {
    context.PrintObject({{"number", revoked.number}, {"serials", revoked.serials}, {"file", options.out.string()}});
  }
  context.Say(fmt::format(
      "revocation list {} of the CA, with {} certificates, is in {}\n"
      "Put it where the aggregator's aggregator.ca_revocations says: it goes out with the next publication.",
      revoked.number, revoked.serials.size(), options.out.string()));
  return {};
}

void AddIssuerCommands(CLI::App& ca, Context& context) {
  const auto issuer = std::make_shared<IssuerOptions>();
  CLI::App* command =
      ca.add_subcommand("issuer", "Make an issuer, which may be online while the CA's key stays offline");
  command->add_option("--ca", issuer->ca, "The CA's folder")->required();
  command->add_option("--out", issuer->out, "Folder for issuer.pem, issuer.key (mode 0600), ca.pem and root.json")
      ->required();
  command->add_option("--name", issuer->name, "Its name in certificates [FLEET issuer DATE]");
  command->add_option("--days", issuer->days, "Validity in days; its members' certificates end with it")
      ->check(CLI::Range(1, 36500))
      ->capture_default_str();
  command->callback(context.Run([&context, issuer] { return MakeIssuer(context, *issuer); }));

  const auto revoke = std::make_shared<IssuerRevocation>();
  command = ca.add_subcommand("revoke-issuer",
                              "Sign the CA's own revocation list: issuers, and members that the CA itself issued");
  command->add_option("--ca", revoke->ca, "The CA's folder; its crl.pem keeps the earlier revocations")->required();
  command->add_option("--issuer", revoke->certificates, "Certificate of an issuer (PEM): all its members fall with it");
  command->add_option("--serial", revoke->serials, "Serial number of a certificate by the CA, hexadecimal");
  command->add_option("--out", revoke->out, "File for the list (PEM)")->required();
  command->callback(context.Run([&context, revoke] { return RevokeIssuer(context, *revoke); }));
}

}  // namespace

std::string DateOf(WallTime time) {
  const auto days = std::chrono::floor<std::chrono::days>(std::chrono::sys_time<Millis>(Millis(time.unix_millis)));
  const std::chrono::year_month_day date(days);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

void AddCaCommands(CLI::App& app, Context& context) {
  CLI::App* ca =
      app.add_subcommand("ca", "Identities: the fleet's CA, its issuers and its members (needs no aggregator)");
  ca->require_subcommand(1);

  const auto init = std::make_shared<CaOptions>();
  CLI::App* command = ca->add_subcommand("init", "Create the CA of a new fleet");
  command->add_option("--dir", init->folder, "Folder to write ca.pem and ca.key (mode 0600) to")->required();
  command->add_option("--name", init->name, "The fleet's name")->required();
  command->add_option("--days", init->days, "Validity in days")->check(CLI::Range(1, 36500))->capture_default_str();
  command->callback(context.Run([&context, init] { return InitCa(context, *init); }));

  AddIssuerCommands(*ca, context);
  AddIssueCommand(*ca, context);
  AddRenewCommand(*ca, context);

  const auto folder = std::make_shared<Path>();
  command = ca->add_subcommand("key", "Print a member's CURVE public key: the server_key of those that connect to it");
  command->add_option("dir", *folder, "The member's identity folder")->required();
  command->callback(context.Run([folder] { return PrintKey(*folder); }));
}

}  // namespace tributary
