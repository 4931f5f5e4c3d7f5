#include "aggregator/operator/ceremony/ca_commands.h"

#include <cstdio>
#include <iostream>
#include <memory>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/authority_folder.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

struct InitOptions {
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

struct RenewOptions {
  Path ca;
  Path identity;
  int64_t days = 365;
};

Status Init(const Context& context, const InitOptions& options) {
  RETURN_IF_ERROR(CheckName(options.name, "fleet name"));
  const auto authority =
      CertificateAuthority::Create(options.name, SystemClock().Now() + -kClockSlack, kClockSlack + kDay * options.days);
  RETURN_IF_ERROR(SaveAuthority(authority, options.folder, {}));
  if (context.json()) context.PrintObject({{"fleet", options.name}, {"folder", options.folder.string()}});
  context.Say("fleet " + options.name + ": its CA is in " + options.folder.string() +
              "\nKeep ca.key secret and backed up: whoever has it can issue members. Better still, keep it offline and "
              "let an\nissuer work in its place: tributary fleet issuer --ca " +
              options.folder.string() + " --out aggregator/issuer");
  return {};
}

// "device" and 7 of 20: "device-007". Three digits at least, so that the first thousand sort as they count.
std::string NumberedId(const std::string& id, uint32_t number) {
  char suffix[16];
  std::snprintf(suffix, sizeof(suffix), "-%03u", number);
  return id + suffix;
}

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

Status Issue(const Context& context, IssueOptions options) {
  const bool has_class = options.role == "device" || options.role == "evaluator";
  if (!has_class && !options.device_class.empty())
    return Fail(Code::kInvalidArgument, "a " + options.role + " has no --class");
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

// For whom nobody renews: an aggregator without an issuer, a member that was away for too long. It may be over already.
Status Renew(const Context& context, const RenewOptions& options) {
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
  // Its issuer's may end before its own.
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(options.identity, now));
  ASSIGN_OR_RETURN(const VerifiedIdentity verified, identity.anchor.Verify(chain, now));
  const std::string ends = DateOf(verified.not_after);
  if (context.json())
    context.PrintObject({{"id", subject.id.text()}, {"folder", options.identity.string()}, {"ends", ends}});
  context.Say(subject.id.text() + " has another certificate, for the keys it has, in " + options.identity.string() +
              "; it ends on " + ends + "\nA program that runs with it takes it up when it starts again.");
  return {};
}

Status PrintKey(const Path& folder) {
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(folder, SystemClock().Now()));
  std::cout << ToHex(identity.subject.curve_public_key) << "\n";
  return {};
}

void AddIssueCommand(CLI::App& fleet, Context& context) {
  const auto issue = std::make_shared<IssueOptions>();
  CLI::App* command = fleet.add_subcommand("issue", "Issue identities: a certificate and keys, in a folder each");
  command->add_option("--ca", issue->ca, "The CA's folder, or an issuer's; its root.json goes into the identities")
      ->required();
  command->add_option("--role", issue->role, "What it may act as")
      ->required()
      ->check(CLI::IsMember({"device", "evaluator", "gateway", "aggregator"}));
  command->add_option("--id", issue->id, "Its id, unique in the fleet; with --count, what the ids begin with")
      ->required();
  command->add_option("--class", issue->device_class, "Device class of a device or evaluator [default]");
  command->add_option("--out", issue->out, "Its folder; with --count, the folder that theirs lie in")->required();
  command->add_option("--count", issue->count, "Issue that many: ID-000, ID-001 …")->check(CLI::Range(1, 1'000'000));
  command->add_option("--days", issue->days, "Validity")->check(CLI::Range(1, 36500))->capture_default_str();
  command->callback(context.Run([&context, issue] { return Issue(context, *issue); }));
}

void AddRenewCommand(CLI::App& fleet, Context& context) {
  const auto renew = std::make_shared<RenewOptions>();
  CLI::App* command = fleet.add_subcommand(
      "renew", "Another certificate for an identity's own keys, also when the present one is over");
  command->footer("Members and an aggregator with an issuer renew by themselves; this is for those that could not.");
  command->add_option("--ca", renew->ca, "The CA's folder, or an issuer's")->required();
  command->add_option("--days", renew->days, "Validity")->check(CLI::Range(1, 36500))->capture_default_str();
  command->add_option("dir", renew->identity, "The identity folder")->required();
  command->callback(context.Run([&context, renew] { return Renew(context, *renew); }));
}

}  // namespace

std::string DateOf(WallTime time) {
  const auto days = std::chrono::floor<std::chrono::days>(std::chrono::sys_time<Millis>(Millis(time.unix_millis)));
  const std::chrono::year_month_day date(days);
  char text[16];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

void AddFleetCommands(CLI::App& app, Context& context) {
  CLI::App* fleet = app.add_subcommand("fleet", "Identities: the fleet's CA and its members (needs no aggregator)");
  fleet->require_subcommand(1);

  const auto init = std::make_shared<InitOptions>();
  CLI::App* command = fleet->add_subcommand("init", "Create the CA of a new fleet");
  command->add_option("--dir", init->folder, "Folder to write ca.pem and ca.key (mode 0600) to")->required();
  command->add_option("--name", init->name, "The fleet's name")->required();
  command->add_option("--days", init->days, "Validity")->check(CLI::Range(1, 36500))->capture_default_str();
  command->callback(context.Run([&context, init] { return Init(context, *init); }));

  AddFleetIssuerCommands(*fleet, context);
  AddIssueCommand(*fleet, context);
  AddRenewCommand(*fleet, context);

  const auto folder = std::make_shared<Path>();
  command =
      fleet->add_subcommand("key", "Print a member's CURVE public key: the server_key of those that connect to it");
  command->add_option("dir", *folder, "The member's identity folder")->required();
  command->callback(context.Run([folder] { return PrintKey(*folder); }));
}

}  // namespace tributary
