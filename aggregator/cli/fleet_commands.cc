#include <cstdio>
#include <iostream>
#include <memory>

#include "aggregator/cli/commands.h"
#include "protocol/base/clock.h"
#include "protocol/base/limits.h"
#include "protocol/seal/identity.h"

namespace tributary {
namespace {

constexpr Millis kDay{24ll * 3600 * 1000};
// Certificates are valid from this long before they are made: a member whose clock is behind, or is set back, is not
// refused for it.
constexpr Millis kClockSlack = kDay;

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

Status Init(const Context& context, const InitOptions& options) {
  FileSystem& files = RealFileSystem();
  for (const char* name : {"ca.pem", "ca.key"}) {
    if (files.Size(options.folder / name)) {
      return Fail(Code::kAlreadyExists,
                  (options.folder / name).string() + " exists; a new CA would lock out its fleet");
    }
  }
  RETURN_IF_ERROR(CheckName(options.name, "fleet name"));
  RETURN_IF_ERROR(files.CreateFolders(options.folder));
  const auto authority =
      CertificateAuthority::Create(options.name, SystemClock().Now() + -kClockSlack, kClockSlack + kDay * options.days);
  RETURN_IF_ERROR(WriteSecretFile(options.folder / "ca.key", authority.key().ToPem()));
  RETURN_IF_ERROR(
      WriteFileAtomically(files, options.folder / "ca.pem", AsBytes(CertificateToPem(authority.certificate()))));
  if (context.json()) context.PrintObject({{"fleet", options.name}, {"folder", options.folder.string()}});
  context.Say("fleet " + options.name + ": its CA is in " + options.folder.string() +
              "\nKeep ca.key secret and backed up: whoever has it can issue members.");
  return {};
}

Result<CertificateAuthority> LoadAuthority(const Path& folder) {
  ASSIGN_OR_RETURN(const SecretBytes key, ReadSecretFile(folder / "ca.key"));
  ASSIGN_OR_RETURN(const Bytes certificate, ReadFile(RealFileSystem(), folder / "ca.pem", limits::kConfigBytes));
  return CertificateAuthority::Load(key, std::string(AsText(certificate)));
}

// "device" and 7 of 20: "device-007". Three digits at least, so that the first thousand sort as they count.
std::string NumberedId(const std::string& id, uint32_t number) {
  char suffix[16];
  std::snprintf(suffix, sizeof(suffix), "-%03u", number);
  return id + suffix;
}

Status IssueOne(const CertificateAuthority& authority, const IssueOptions& options, const std::string& id,
                const Path& folder) {
  Subject subject;
  ASSIGN_OR_RETURN(subject.id, DeviceId::Parse(id));
  subject.role = RoleByName(options.role).value();  // CLI11 has checked it
  subject.device_class = options.device_class;
  return IssueIdentity(authority, subject, folder, SystemClock().Now() + -kClockSlack,
                       kClockSlack + kDay * options.days);
}

Status Issue(const Context& context, IssueOptions options) {
  const bool has_class = options.role == "device" || options.role == "evaluator";
  if (!has_class && !options.device_class.empty())
    return Fail(Code::kInvalidArgument, "a " + options.role + " has no --class");
  if (has_class && options.device_class.empty()) options.device_class = "default";
  ASSIGN_OR_RETURN(const CertificateAuthority authority, LoadAuthority(options.ca));
  Json made = Json::array();
  for (uint32_t i = 0; i < std::max(options.count, 1u); ++i) {
    const std::string id = options.count == 0 ? options.id : NumberedId(options.id, i);
    const Path folder = options.count == 0 ? options.out : options.out / id;
    RETURN_IF_ERROR(IssueOne(authority, options, id, folder));
    made.push_back({{"id", id}, {"role", options.role}, {"folder", folder.string()}});
  }
  context.PrintList({{"items", made}}, {{"ID", "id"}, {"ROLE", "role"}, {"FOLDER", "folder"}});
  return {};
}

Status PrintKey(const Path& folder) {
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(folder, SystemClock().Now()));
  if (identity.subject.curve_public_key.empty()) {
    return Fail(Code::kNotFound, folder.string() + " is a publisher's: it never connects and has no CURVE key");
  }
  std::cout << ToHex(identity.subject.curve_public_key) << "\n";
  return {};
}

}  // namespace

void AddFleetCommands(CLI::App& app, Context& context) {
  CLI::App* fleet = app.add_subcommand("fleet", "Identities: the fleet's CA and its members (needs no aggregator)");
  fleet->require_subcommand(1);

  const auto init = std::make_shared<InitOptions>();
  CLI::App* command = fleet->add_subcommand("init", "Create the CA of a new fleet");
  command->add_option("--dir", init->folder, "Folder to write ca.pem and ca.key (mode 0600) to")->required();
  command->add_option("--name", init->name, "The fleet's name")->required();
  command->add_option("--days", init->days, "Validity")->check(CLI::Range(1, 36500))->capture_default_str();
  command->callback(context.Run([&context, init] { return Init(context, *init); }));

  const auto issue = std::make_shared<IssueOptions>();
  command = fleet->add_subcommand("issue", "Issue identities: a certificate and keys, in a folder each");
  command->add_option("--ca", issue->ca, "The CA's folder")->required();
  command->add_option("--role", issue->role, "What it may act as")
      ->required()
      ->check(CLI::IsMember({"device", "evaluator", "gateway", "aggregator", "publisher"}));
  command->add_option("--id", issue->id, "Its id, unique in the fleet; with --count, what the ids begin with")
      ->required();
  command->add_option("--class", issue->device_class, "Device class of a device or evaluator [default]");
  command->add_option("--out", issue->out, "Its folder; with --count, the folder that theirs lie in")->required();
  command->add_option("--count", issue->count, "Issue that many: ID-000, ID-001 …")->check(CLI::Range(1, 1'000'000));
  command->add_option("--days", issue->days, "Validity")->check(CLI::Range(1, 36500))->capture_default_str();
  command->callback(context.Run([&context, issue] { return Issue(context, *issue); }));

  const auto folder = std::make_shared<Path>();
  command =
      fleet->add_subcommand("key", "Print a member's CURVE public key: the server_key of those that connect to it");
  command->add_option("dir", *folder, "The member's identity folder")->required();
  command->callback(context.Run([folder] { return PrintKey(*folder); }));
}

}  // namespace tributary
