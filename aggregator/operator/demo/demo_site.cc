#include "aggregator/operator/demo/demo_site.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <span>
#include <thread>

#include <arpa/inet.h>

#include "aggregator/api/api_token_store.h"
#include "aggregator/publish/root_ceremony.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/model_package.h"
#include "protocol/trust/identity/authority_folder.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

constexpr Millis kYear{365ll * 24 * 3600 * 1000};
constexpr Millis kStartBound{30'000};
constexpr Millis kStopBound{10'000};
constexpr size_t kLogTail = 2'000;

// A port that nobody listens on now. Somebody may take it before its process does; then that process says so.
Result<uint16_t> FreePort() {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool found =
      socket_fd >= 0 && bind(socket_fd, generic, length) == 0 && getsockname(socket_fd, generic, &length) == 0;
  if (socket_fd >= 0) close(socket_fd);
  if (!found) return Fail(Code::kIo, "no free port on the loopback address");
  return ntohs(address.sin_port);
}

// Identities get the publication's root from the CA's folder, as those of `tributary fleet issue` do.
Result<Bytes> IssueTo(const CertificateAuthority& authority, const Path& ca, Role role, const std::string& id,
                      const Path& folder) {
  Subject subject;
  ASSIGN_OR_RETURN(subject.id, DeviceId::Parse(id));
  subject.role = role;
  if (role == Role::kDevice || role == Role::kEvaluator) subject.device_class = "virtual";
  const WallTime now = SystemClock().Now();
  ASSIGN_OR_RETURN(const Bytes publication_root, ReadPublicationRoot(ca));
  RETURN_IF_ERROR(IssueIdentity(authority, subject, folder, now, kYear, publication_root));
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(folder, now));
  return identity.subject.curve_public_key;
}

// A root, targets and releases key of its own each, as `tributary root init` makes them. Returns the root metadata.
Result<Bytes> MakePublicationFolder(const Path& ca, const Path& folder) {
  FileSystem& files = RealFileSystem();
  RETURN_IF_ERROR(files.CreateFolders(ca / "publication-keys"));
  const auto make = [&](const char* name) { return CreateSignerFile(ca / "publication-keys" / name, SecretBytes()); };
  ASSIGN_OR_RETURN(const auto root, make("root-1.pem"));
  ASSIGN_OR_RETURN(const auto targets, make("targets.pem"));
  ASSIGN_OR_RETURN(const auto releases, make("releases.pem"));
  RETURN_IF_ERROR(CreateRepository(files, folder,
                                   {.root_keys = {root->public_key()},
                                    .root_threshold = 1,
                                    .root_signers = {root.get()},
                                    .targets = targets.get(),
                                    .releases = releases.get(),
                                    .expires = SystemClock().Now() + kYear}));
  return ReadFile(files, MetadataFile(folder, 1, tuf::kRootRole), limits::kRootBytes);
}

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

template <class T, class Pick>
std::string QuotedList(const std::vector<T>& items, Pick pick) {
  std::string list;
  for (const T& item : items) list += (list.empty() ? "" : ", ") + Quoted(pick(item));
  return "[" + list + "]";
}

std::string LogSection(const std::string& name) { return "\n[log]\nfile = " + Quoted(name + ".log") + "\n"; }

std::string TailOf(const Path& file) {
  const auto log = ReadFile(RealFileSystem(), file, 1ull << 30);
  if (!log) return "";
  const std::string_view text = AsText(*log);
  return std::string(text.substr(text.size() - std::min(text.size(), kLogTail)));
}

}  // namespace

Status DemoSite::Provision() {
  FileSystem& files = RealFileSystem();
  std::error_code error;
  if (std::filesystem::exists(options_.dir, error) && !std::filesystem::is_empty(options_.dir, error)) {
    return Fail(Code::kAlreadyExists, options_.dir.string() + " is there and not empty; give --dir a new folder");
  }
  RETURN_IF_ERROR(files.CreateFolders(options_.dir));
  options_.dir = std::filesystem::canonical(options_.dir, error);
  const auto authority = CertificateAuthority::Create("demo", SystemClock().Now(), kYear);
  ASSIGN_OR_RETURN(const Bytes publication_root, MakePublicationFolder(ca(), options_.dir / "aggregator/publication"));
  RETURN_IF_ERROR(SaveAuthority(authority, ca(), publication_root));
  ASSIGN_OR_RETURN(const auto issuer, authority.CreateIssuer("demo issuer", SystemClock().Now(), kYear));
  RETURN_IF_ERROR(SaveAuthority(issuer, options_.dir / "aggregator/issuer", publication_root));

  ASSIGN_OR_RETURN(Address upstream, ProvisionAggregator(authority));
  for (uint32_t level = options_.levels; level > 1; --level) {
    ASSIGN_OR_RETURN(upstream, ProvisionGateway(authority, "regional-" + std::to_string(level), upstream));
  }
  std::vector<Address> gateways;
  for (uint32_t i = 1; options_.levels > 0 && i <= options_.gateways; ++i) {
    ASSIGN_OR_RETURN(gateways.emplace_back(), ProvisionGateway(authority, "gateway-" + std::to_string(i), upstream));
  }
  if (gateways.empty()) gateways.push_back(upstream);
  return ProvisionDevices(authority, gateways);
}

Result<DemoSite::Address> DemoSite::ProvisionAggregator(const CertificateAuthority& authority) {
  const Path folder = options_.dir / "aggregator";
  ASSIGN_OR_RETURN(const Bytes key, IssueTo(authority, ca(), Role::kAggregator, "aggregator", folder / "identity"));
  ASSIGN_OR_RETURN(const uint16_t port, FreePort());
  ASSIGN_OR_RETURN(const uint16_t http_port, FreePort());
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(port);
  url_ = "http://127.0.0.1:" + std::to_string(http_port);
  RETURN_IF_ERROR(WriteConfig(
      "aggregator",
      "[aggregator]\ndata_dir = \"aggregator/data\"\nidentity_dir = \"aggregator/identity\"\n"
      "publication_dir = \"aggregator/publication\"\nissuer_dir = \"aggregator/issuer\"\n\n[listen]\nendpoint = " +
          Quoted(endpoint) + "\n\n[http]\nport = " + std::to_string(http_port) + "\n" + LogSection("aggregator")));
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(folder / "data"));
  SystemRandom random;
  ASSIGN_OR_RETURN(
      const std::string token,
      ApiTokenStore(folder / "data/tokens").Add({"demo", HttpAccess::kAdmin, SystemClock().Now(), {}}, random));
  RETURN_IF_ERROR(WriteSecretFile(token_file(), SecretBytes::CopyOf(AsBytes(token + "\n"))));
  members_.push_back({"aggregator", "tributary-aggregator", nullptr});
  ASSIGN_OR_RETURN(ApiClient client, ApiClient::Create({.url = url_, .token = token}));
  client_ = std::make_unique<ApiClient>(std::move(client));
  return Address{endpoint, ToHex(key)};
}

Result<DemoSite::Address> DemoSite::ProvisionGateway(const CertificateAuthority& authority, const std::string& name,
                                                     const Address& upstream) {
  ASSIGN_OR_RETURN(const Bytes key, IssueTo(authority, ca(), Role::kGateway, name, options_.dir / name / "identity"));
  ASSIGN_OR_RETURN(const uint16_t port, FreePort());
  ASSIGN_OR_RETURN(const uint16_t http_port, FreePort());
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(port);
  RETURN_IF_ERROR(WriteConfig(
      name, "[gateway]\ndata_dir = " + Quoted(name + "/data") + "\nidentity_dir = " + Quoted(name + "/identity") +
                "\n\n[listen]\nendpoint = " + Quoted(endpoint) + "\n\n[upstream]\nendpoint = " +
                Quoted(upstream.endpoint) + "\nserver_key = " + Quoted(upstream.server_key) +
                "\nretry_cap_seconds = 2\n\n[http]\nport = " + std::to_string(http_port) + "\n" + LogSection(name)));
  members_.push_back({name, "tributary-gateway", nullptr});
  return Address{endpoint, ToHex(key)};
}

Status DemoSite::ProvisionDevices(const CertificateAuthority& authority, const std::vector<Address>& gateways) {
  for (uint32_t i = 0; i < options_.devices; ++i) {
    char id[24];
    std::snprintf(id, sizeof(id), "device-%03u", i);
    RETURN_IF_ERROR(IssueTo(authority, ca(), Role::kDevice, id, options_.dir / "fleet/identities" / id));
  }
  RETURN_IF_ERROR(IssueTo(authority, ca(), Role::kEvaluator, "evaluator", options_.dir / "evaluator/identity"));
  RETURN_IF_ERROR(WriteConfig(
      "fleet", "[fleet]\ndata_dir = \"fleet/data\"\nidentities_dir = \"fleet/identities\"\nfits_at_once = " +
                   std::to_string(std::max(1u, std::thread::hardware_concurrency())) +
                   "\n\n[gateways]\nendpoints = " + QuotedList(gateways, [](const Address& a) { return a.endpoint; }) +
                   "\nserver_keys = " + QuotedList(gateways, [](const Address& a) { return a.server_key; }) +
                   "\nretry_cap_seconds = 2\n\n[examples]\npartition = \"dirichlet\"\nalpha = " +
                   std::to_string(options_.alpha) + "\ntotal = " + std::to_string(options_.examples) +
                   "\nseed = " + std::to_string(options_.seed) + "\n" + LogSection("fleet")));
  RETURN_IF_ERROR(WriteConfig(
      "evaluator",
      "[device]\ndata_dir = \"evaluator/data\"\nidentity_dir = \"evaluator/identity\"\n\n[gateway]\nendpoint = " +
          Quoted(gateways[0].endpoint) + "\nserver_key = " + Quoted(gateways[0].server_key) +
          "\nretry_cap_seconds = 2\n\n[examples]\npart = \"test\"\n" + LogSection("evaluator")));
  members_.push_back({"fleet", "tributary-fleet", nullptr});
  members_.push_back({"evaluator", "tributary-device", nullptr});
  return {};
}

Status DemoSite::WriteConfig(const std::string& name, const std::string& text) const {
  return WriteFileAtomically(RealFileSystem(), options_.dir / (name + ".toml"), AsBytes(text));
}

Status DemoSite::Start() {
  for (Member& member : members_) {
    if (member.name == "fleet") {
      RETURN_IF_ERROR(WaitUntilReady());
      RETURN_IF_ERROR(CreateTask());
    }
    RETURN_IF_ERROR(StartMember(member));
  }
  return Check();
}

Status DemoSite::StartMember(Member& member) {
  ASSIGN_OR_RETURN(const Path program, FindProgram(member.program));
  ASSIGN_OR_RETURN(
      ChildProcess process,
      ChildProcess::Start({.argv = {program.string(), "--config", (options_.dir / (member.name + ".toml")).string()},
                           .log = options_.dir / (member.name + ".out"),
                           .folder = options_.dir}));
  member.process = std::make_unique<ChildProcess>(std::move(process));
  return {};
}

Status DemoSite::WaitUntilReady() {
  const SystemClock clock;
  const Millis end = clock.Monotonic() + kStartBound;
  for (;;) {
    RETURN_IF_ERROR(Check());
    const auto ready = client_->Readiness();
    if (ready && ready->value("ready", false)) return {};
    if (clock.Monotonic() > end) {
      return Fail(Code::kTimeout,
                  "the aggregator is not ready after 30 s: " + (ready ? ready->dump() : ready.error().message));
    }
    std::this_thread::sleep_for(Millis(50));
  }
}

Status DemoSite::CreateTask() {
  const Path model = options_.dir / "model.pt";
  const Path package_file = options_.dir / "model.tpkg";
  RETURN_IF_ERROR(RunTool({"new-model", "--seed", std::to_string(options_.seed), "--out", model.string()}));
  RETURN_IF_ERROR(RunTool({"pack", model.string(), "--out", package_file.string()}));
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), package_file, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const ModelPackage package, DecodeModelPackage(bytes));
  TaskRequest request;
  ASSIGN_OR_RETURN(request.task.id, TaskId::Parse(kTask));
  request.task.table = package.table;
  request.task.plan.epochs = options_.epochs;
  request.task.plan.seed = options_.seed;
  // All devices take part in every round, so that the same seed sums the same updates.
  request.task.policy = {
      .report_goal = options_.devices, .minimum = options_.devices, .deadline_seconds = 600, .inclusion = 1.0};
  ASSIGN_OR_RETURN(request.task.module, client_->PutBlob(package.module));
  ASSIGN_OR_RETURN(const BlobRef weights, client_->PutBlob(AsBytes(std::span<const float>(package.weights))));
  request.weights = weights.digest;
  RETURN_IF_ERROR(client_->CreateTask(request));
  return {};
}

Status DemoSite::RunTool(const std::vector<std::string>& arguments) const {
  ASSIGN_OR_RETURN(const Path program, FindProgram("tributary-device"));
  std::vector<std::string> argv = {program.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const Path log = options_.dir / "model.out";
  ASSIGN_OR_RETURN(ChildProcess tool, ChildProcess::Start({.argv = argv, .log = log, .folder = {}}));
  if (const int code = tool.Wait(); code != 0) {
    return Fail(Code::kChildFailed,
                "tributary-device " + arguments[0] + " ended with " + std::to_string(code) + ": " + TailOf(log));
  }
  return {};
}

Status DemoSite::Check() {
  for (Member& member : members_) {
    if (!member.process) continue;
    if (const auto code = member.process->Poll()) {
      return Fail(Code::kChildFailed, member.name + " ended with " + std::to_string(*code) +
                                          "; the end of its output:\n" + TailOf(options_.dir / (member.name + ".out")) +
                                          TailOf(options_.dir / (member.name + ".log")));
    }
  }
  return {};
}

void DemoSite::Stop() {
  for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
    if (!member->process) continue;
    member->process->Terminate(kStopBound);
    member->process.reset();
  }
}

std::vector<std::string> DemoSite::Names() const {
  std::vector<std::string> names;
  for (const Member& member : members_) names.push_back(member.name);
  return names;
}

}  // namespace tributary
