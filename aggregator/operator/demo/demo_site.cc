#include "aggregator/operator/demo/demo_site.h"

#include <algorithm>
#include <thread>

#include <nlohmann/json.hpp>

#include "aggregator/api/api_token_store.h"
#include "aggregator/operator/command/task_commands.h"
#include "aggregator/publish/root_ceremony.h"
#include "protocol/base/limits.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

constexpr Millis kYear{365ll * 24 * 3600 * 1000};
constexpr Millis kStartBound{30'000};
constexpr Millis kStopBound{10'000};
constexpr size_t kLogTail = 2'000;

// With a root, targets and releases key of its own each, as `tributary root init` makes them. Returns the root metadata.
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

std::string QuotedList(const std::vector<Site::Address>& items, std::string Site::Address::*field) {
  std::string list;
  for (const Site::Address& item : items) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", item.*field);
  return "[" + list + "]";
}

std::string TailOf(std::string_view text) {
  return std::string(text.substr(text.size() - std::min(text.size(), kLogTail)));
}

}  // namespace

Status DemoSite::Provision() {
  std::error_code error;
  if (std::filesystem::exists(options_.dir, error) && !std::filesystem::is_empty(options_.dir, error)) {
    return Fail(Code::kAlreadyExists, "{} is there and not empty; give --dir a new folder", options_.dir.string());
  }
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(options_.dir));
  options_.dir = std::filesystem::canonical(options_.dir, error);
  authority_ = CertificateAuthority::Create("demo", SystemClock().Now(), kYear);
  ASSIGN_OR_RETURN(const Bytes root, MakePublicationFolder(ca(), options_.dir / "aggregator/publication"));
  RETURN_IF_ERROR(SaveAuthority(*authority_, ca(), root));
  site_.emplace(*authority_, Site::Options{.folder = options_.dir, .publication_root = root, .lifetime = kYear});
  RETURN_IF_ERROR(site_->AddAggregator());
  url_ = fmt::format("http://127.0.0.1:{}", site_->HttpPortOf("aggregator"));
  RETURN_IF_ERROR(MakeToken());
  ASSIGN_OR_RETURN(const auto gateways, AddGateways());
  return AddDevices(gateways);
}

Status DemoSite::MakeToken() {
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(site_->DataOf("aggregator")));
  SystemRandom random;
  ApiTokenStore tokens(site_->DataOf("aggregator") / "tokens");
  ASSIGN_OR_RETURN(const std::string token, tokens.Add({"demo", HttpAccess::kAdmin, SystemClock().Now(), {}}, random));
  RETURN_IF_ERROR(WriteSecretFile(token_file(), SecretBytes::CopyOf(AsBytes(token + "\n"))));
  ASSIGN_OR_RETURN(client_, ApiClient::Create({.url = url_, .token = token}));
  return {};
}

// The lowest level's, to which devices connect.
Result<std::vector<Site::Address>> DemoSite::AddGateways() {
  std::string parent = "aggregator";
  for (uint32_t level = options_.levels; level > 1; --level) {
    const std::string id = fmt::format("regional-{}", level);
    RETURN_IF_ERROR(site_->AddGateway(id, parent));
    parent = id;
  }
  std::vector<Site::Address> lowest;
  for (uint32_t i = 1; options_.levels > 0 && i <= options_.gateways; ++i) {
    const std::string id = fmt::format("gateway-{}", i);
    RETURN_IF_ERROR(site_->AddGateway(id, parent));
    ASSIGN_OR_RETURN(lowest.emplace_back(), site_->AddressOf(id));
  }
  if (lowest.empty()) {
    ASSIGN_OR_RETURN(lowest.emplace_back(), site_->AddressOf(parent));
  }
  return lowest;
}

Status DemoSite::AddDevices(const std::vector<Site::Address>& gateways) {
  for (uint32_t i = 0; i < options_.devices; ++i) {
    const std::string id = fmt::format("device-{:03}", i);
    RETURN_IF_ERROR(site_->Issue(Role::kDevice, id, options_.dir / "fleet/identities" / id));
  }
  RETURN_IF_ERROR(site_->Issue(Role::kEvaluator, "evaluator", site_->IdentityOf("evaluator")));
  RETURN_IF_ERROR(site_->AddProcess(
      "fleet", "tributary-fleet",
      fmt::format("[fleet]\ndata_dir = \"fleet/data\"\nidentities_dir = \"fleet/identities\"\nfits_at_once = {}\n\n"
                  "[gateways]\nendpoints = {}\nserver_keys = {}\nretry_cap_seconds = 2\n\n"
                  "[examples]\npartition = \"dirichlet\"\nalpha = {:f}\ntotal = {}\nseed = {}\n",
                  std::max(1u, std::thread::hardware_concurrency()), QuotedList(gateways, &Site::Address::endpoint),
                  QuotedList(gateways, &Site::Address::server_key), options_.alpha, options_.examples, options_.seed)));
  return site_->AddProcess(
      "evaluator", "tributary-device",
      fmt::format("[device]\ndata_dir = \"evaluator/data\"\nidentity_dir = \"evaluator/identity\"\n\n"
                  "[gateway]\nendpoint = \"{}\"\nserver_key = \"{}\"\nretry_cap_seconds = 2\n\n"
                  "[examples]\npart = \"test\"\n",
                  gateways[0].endpoint, gateways[0].server_key));
}

Status DemoSite::Start() {
  for (const std::string& id : site_->Names()) {
    if (id == "fleet") {
      RETURN_IF_ERROR(WaitUntilReady());
      RETURN_IF_ERROR(CreateTask());
    }
    RETURN_IF_ERROR(site_->Start(id));
  }
  return Check();
}

Status DemoSite::WaitUntilReady() {
  const SystemClock clock;
  const Millis end = clock.Monotonic() + kStartBound;
  for (;;) {
    RETURN_IF_ERROR(Check());
    const auto ready = client_->Readiness();
    if (ready && ready->value("ready", false)) return {};
    if (clock.Monotonic() > end) {
      return Fail(Code::kTimeout, "the aggregator is not ready after 30 s: {}",
                  ready ? ready->dump() : ready.error().message);
    }
    std::this_thread::sleep_for(Millis(50));
  }
}

Status DemoSite::CreateTask() {
  const Path model = options_.dir / "model.pt";
  const Path package_file = options_.dir / "model.tpkg";
  RETURN_IF_ERROR(RunTool({"new-model", "--seed", std::to_string(options_.seed), "--out", model.string()}));
  RETURN_IF_ERROR(RunTool({"pack", model.string(), "--out", package_file.string()}));
  TaskRecord task;
  ASSIGN_OR_RETURN(task.id, TaskId::Parse(kTask));
  task.plan.epochs = options_.epochs;
  task.plan.seed = options_.seed;
  task.plan.update_codec = options_.update_codec;
  // All devices take part in every round, so that the same seed sums the same updates.
  task.policy = {
      .report_goal = options_.devices, .minimum = options_.devices, .deadline_seconds = 600, .inclusion = 1.0};
  for (const Field& field : FieldsOf(task.policy)) {
    if (field.name == "version_codec") RETURN_IF_ERROR(field.Set(options_.version_codec));
  }
  ASSIGN_OR_RETURN(const ModelPackage package, ReadModelPackage(package_file));
  RETURN_IF_ERROR(CreateTaskOfPackage(*client_, std::move(task), package));
  return {};
}

Status DemoSite::RunTool(const std::vector<std::string>& arguments) const {
  ASSIGN_OR_RETURN(const Path program, FindProgram("tributary-device"));
  std::vector<std::string> argv = {program.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  ASSIGN_OR_RETURN(ChildProcess tool,
                   ChildProcess::Start({.argv = argv, .log = options_.dir / "model.log", .folder = {}}));
  if (const int code = tool.Wait(); code != 0) {
    return Fail(Code::kChildFailed, "tributary-device {} ended with {}: {}", arguments[0], code,
                TailOf(site_->LogOf("model")));
  }
  return {};
}

Status DemoSite::Check() {
  for (const std::string& id : site_->Names()) {
    if (const auto code = site_->EndOf(id)) {
      return Fail(Code::kChildFailed, "{} ended with {}; the end of its log:\n{}", id, *code, TailOf(site_->LogOf(id)));
    }
  }
  return {};
}

void DemoSite::Stop() {
  if (site_) site_->StopAll(kStopBound);
}

}  // namespace tributary
