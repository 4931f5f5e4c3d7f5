#include "aggregator/operator/demo/federation.h"

#include <algorithm>
#include <thread>

#include <nlohmann/json.hpp>

#include "aggregator/api/api_token_store.h"
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

Status Federation::Provision() {
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(options_.folder));
  std::error_code error;
  options_.folder = std::filesystem::canonical(options_.folder, error);
  ASSIGN_OR_RETURN(const Bytes root, MakeAuthority());
  site_.emplace(
      *authority_,
      Site::Options{.folder = options_.folder, .publication_root = root, .lifetime = kYear, .again = options_.again});
  RETURN_IF_ERROR(site_->AddAggregator());
  url_ = fmt::format("http://127.0.0.1:{}", site_->HttpPortOf("aggregator"));
  RETURN_IF_ERROR(MakeToken());
  ASSIGN_OR_RETURN(const auto gateways, AddGateways());
  return AddDevices(gateways);
}

// Returns the root of its publication.
Result<Bytes> Federation::MakeAuthority() {
  if (options_.again) {
    ASSIGN_OR_RETURN(authority_, LoadAuthority(ca()));
    return ReadPublicationRoot(ca());
  }
  authority_ = CertificateAuthority::Create("private", SystemClock().Now(), kYear);
  ASSIGN_OR_RETURN(Bytes root, MakePublicationFolder(ca(), options_.folder / "aggregator/publication"));
  RETURN_IF_ERROR(SaveAuthority(*authority_, ca(), root));
  return root;
}

Status Federation::MakeToken() {
  std::string token;
  if (options_.again) {
    ASSIGN_OR_RETURN(const Bytes text, ReadFile(RealFileSystem(), token_file(), limits::kKiB));
    token = AsText(text).substr(0, text.size() - 1);
  } else {
    RETURN_IF_ERROR(RealFileSystem().CreateFolders(site_->DataOf("aggregator")));
    SystemRandom random;
    ApiTokenStore tokens(site_->DataOf("aggregator") / "tokens");
    ASSIGN_OR_RETURN(token, tokens.Add({"private", HttpAccess::kAdmin, SystemClock().Now(), {}}, random));
    RETURN_IF_ERROR(WriteSecretFile(token_file(), SecretBytes::CopyOf(AsBytes(token + "\n"))));
  }
  ASSIGN_OR_RETURN(client_, ApiClient::Create({.url = url_, .token = token}));
  return {};
}

// The lowest level's, to which devices connect.
Result<std::vector<Site::Address>> Federation::AddGateways() {
  std::string parent = "aggregator";
  for (uint32_t level = options_.levels; options_.gateways > 0 && level > 1; --level) {
    const std::string id = fmt::format("regional-{}", level);
    RETURN_IF_ERROR(site_->AddGateway(id, parent));
    parent = id;
  }
  std::vector<Site::Address> lowest;
  for (uint32_t i = 1; i <= options_.gateways; ++i) {
    const std::string id = fmt::format("gateway-{}", i);
    RETURN_IF_ERROR(site_->AddGateway(id, parent));
    ASSIGN_OR_RETURN(lowest.emplace_back(), site_->AddressOf(id));
  }
  if (lowest.empty()) {
    ASSIGN_OR_RETURN(lowest.emplace_back(), site_->AddressOf(parent));
  }
  return lowest;
}

Status Federation::AddDevices(const std::vector<Site::Address>& gateways) {
  for (uint32_t i = 0; i < options_.devices; ++i) {
    const std::string id = fmt::format("device-{:03}", i);
    RETURN_IF_ERROR(site_->Issue(Role::kDevice, id, options_.folder / "fleet/identities" / id));
  }
  const uint32_t fits = options_.fits_at_once ? options_.fits_at_once : std::thread::hardware_concurrency();
  RETURN_IF_ERROR(site_->AddProcess(
      "fleet", "tributary-fleet",
      fmt::format("[fleet]\ndata_dir = \"fleet/data\"\nidentities_dir = \"fleet/identities\"\nfits_at_once = {}\n\n"
                  "[gateways]\nendpoints = {}\nserver_keys = {}\nretry_cap_seconds = 1\n\n{}",
                  std::max(1u, fits), QuotedList(gateways, &Site::Address::endpoint),
                  QuotedList(gateways, &Site::Address::server_key), options_.fleet)));
  if (!options_.evaluates) return {};
  RETURN_IF_ERROR(site_->Issue(Role::kEvaluator, "evaluator", site_->IdentityOf("evaluator")));
  return site_->AddProcess(
      "evaluator", "tributary-device",
      fmt::format("[device]\ndata_dir = \"evaluator/data\"\nidentity_dir = \"evaluator/identity\"\n\n"
                  "[gateway]\nendpoint = \"{}\"\nserver_key = \"{}\"\nretry_cap_seconds = 1\n\n{}",
                  gateways[0].endpoint, gateways[0].server_key, options_.evaluator));
}

Status Federation::Start(const std::function<Status(ApiClient& client)>& before_devices) {
  for (const std::string& id : site_->Names()) {
    if (id == "fleet") {
      RETURN_IF_ERROR(WaitUntilReady());
      RETURN_IF_ERROR(before_devices(*client_));
    }
    RETURN_IF_ERROR(site_->Start(id));
  }
  return Check();
}

Status Federation::WaitUntilReady() {
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

Status Federation::RunTool(const std::string& program, const std::vector<std::string>& arguments) const {
  ASSIGN_OR_RETURN(const Path path, FindProgram(program));
  std::vector<std::string> argv = {path.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  ASSIGN_OR_RETURN(ChildProcess tool,
                   ChildProcess::Start({.argv = argv, .log = options_.folder / "tool.log", .folder = options_.folder}));
  if (const int code = tool.Wait(); code != 0) {
    return Fail(Code::kChildFailed, "{} {} ended with {}: {}", program, arguments[0], code,
                TailOf(site_->LogOf("tool")));
  }
  return {};
}

Status Federation::Check() {
  for (const std::string& id : site_->Names()) {
    if (const auto code = site_->EndOf(id)) {
      return Fail(Code::kChildFailed, "{} ended with {}; the end of its log:\n{}", id, *code, TailOf(site_->LogOf(id)));
    }
  }
  return {};
}

void Federation::Stop() {
  if (site_) site_->StopAll(kStopBound);
}

}  // namespace tributary
