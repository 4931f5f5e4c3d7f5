#include "tests/support/site.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "protocol/base/limits.h"
#include "aggregator/operator/command/http_client.h"
#include "protocol/trust/identity/authority_folder.h"
#include "tests/support/must.h"
#include "tests/support/repository_folder.h"

namespace tributary {
namespace {

std::string ReadText(const Path& file) {
  const auto bytes = ReadFile(RealFileSystem(), file, 64 * limits::kMiB);
  return bytes ? std::string(AsText(*bytes)) : std::string();
}

void WriteText(const Path& file, const std::string& text) {
  Must(WriteFileAtomically(RealFileSystem(), file, AsBytes(text)));
}

// Wakes when a file of the folder is written to.
class LogWatch {
 public:
  explicit LogWatch(const Path& folder) : descriptor_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    TRIBUTARY_CHECK(inotify_add_watch(descriptor_, folder.c_str(), IN_MODIFY | IN_CREATE) >= 0) << folder.string();
  }
  LogWatch(const LogWatch&) = delete;
  LogWatch& operator=(const LogWatch&) = delete;
  ~LogWatch() { close(descriptor_); }

  void Wait(Millis at_most) {
    pollfd wait{descriptor_, POLLIN, 0};
    poll(&wait, 1, static_cast<int>(at_most.count()));
    char events[4096];
    while (read(descriptor_, events, sizeof(events)) > 0) {
    }
  }

 private:
  int descriptor_;
};

// Metrics and the API change without a line in any log.
constexpr Millis kLookAgain{50};

bool Bindable(int port) {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(probe);
  return free;
}

}  // namespace

int Site::FreePort() {
  static int next = 10'000 + getpid() * 37 % 20'000;
  do {
    if (++next >= 32'000) next = 10'000;
  } while (!Bindable(next));
  return next;
}

Site::Site(Path programs) : programs_(std::move(programs)), fleet_(SystemClock().Now()) {}

Site::Address Site::AddressOf(const std::string& id) const {
  const Identity identity = Must(LoadIdentity(IdentityOf(id), SystemClock().Now()));
  const Process& process = processes_.at(id);
  return {"tcp://" + process.host + ":" + std::to_string(process.hop_port), ToHex(identity.subject.curve_public_key)};
}

int Site::HttpPortOf(const std::string& id) const { return processes_.at(id).http_port; }

std::string Site::UpstreamTable(const std::string& parent) const {
  const Address above = AddressOf(parent);
  return "[upstream]\nendpoint = \"" + above.endpoint + "\"\nserver_key = \"" + above.server_key +
         "\"\nretry_cap_seconds = 1\n";
}

void Site::AddAggregator(const std::string& host) {
  Process& process = processes_["aggregator"];
  process.program = "tributary-aggregator";
  process.hop_port = FreePort();
  process.http_port = FreePort();
  process.host = host;
  fleet_.IssueInto(IdentityOf("aggregator"), Role::kAggregator, "aggregator");
  WriteRepositoryFolder(fleet_.repository(), PublicationPath());
  const auto issuer = Must(fleet_.authority().CreateIssuer("test issuer", fleet_.start(), kTestLifetime));
  Must(SaveAuthority(issuer, folder_ / "aggregator/issuer", fleet_.repository().root()));
  WriteText(ConfigOf("aggregator"),
            "[aggregator]\ndata_dir = \"aggregator/data\"\nidentity_dir = \"aggregator/identity\"\npublication_dir = "
            "\"aggregator/publication\"\nissuer_dir = \"aggregator/issuer\"\n"
            "[listen]\nendpoint = \"tcp://" +
                host + ":" + std::to_string(process.hop_port) +
                "\"\n"
                "[http]\nport = " +
                std::to_string(process.http_port) + "\n");
}

void Site::AddGateway(const std::string& id, const std::string& parent) {
  const std::string upstream = UpstreamTable(parent);
  Process& process = processes_[id];
  process.program = "tributary-gateway";
  process.hop_port = FreePort();
  process.http_port = FreePort();
  fleet_.IssueInto(IdentityOf(id), Role::kGateway, id);
  WriteText(ConfigOf(id), "[gateway]\ndata_dir = \"" + id + "/data\"\nidentity_dir = \"" + id +
                              "/identity\"\n"
                              "[listen]\nendpoint = \"tcp://127.0.0.1:" +
                              std::to_string(process.hop_port) + "\"\n" + upstream +
                              "[http]\nport = " + std::to_string(process.http_port) + "\n");
}

void Site::AddProcess(const std::string& id, const std::string& program, const std::string& config) {
  processes_[id].program = program;
  WriteText(ConfigOf(id), config);
}

void Site::RunThrough(const std::string& id, std::vector<std::string> prefix) { Of(id).prefix = std::move(prefix); }

void Site::ConnectUpThrough(const std::string& gateway, int port) {
  std::string config = ReadText(ConfigOf(gateway));
  const size_t begin = config.rfind(':', config.find("server_key")) + 1;
  config.replace(begin, config.find('"', begin) - begin, std::to_string(port));
  WriteText(ConfigOf(gateway), config);
}

Site::Process& Site::Of(const std::string& id) {
  const auto found = processes_.find(id);
  TRIBUTARY_CHECK(found != processes_.end()) << id;
  return found->second;
}

ChildProcess::Spec Site::SpecOf(const std::string& id, const std::vector<std::string>& more) const {
  ChildProcess::Spec spec;
  const Process& process = processes_.at(id);
  spec.argv = process.prefix;
  for (const std::string& word :
       {(programs_ / process.program).string(), std::string("--config"), ConfigOf(id).string()})
    spec.argv.push_back(word);
  spec.argv.insert(spec.argv.end(), more.begin(), more.end());
  spec.log = folder_ / (id + ".log");
  return spec;
}

std::string Site::LogOf(const std::string& id) const { return ReadText(folder_ / (id + ".log")); }

std::string Site::Logs() const {
  std::string all;
  for (const auto& [id, process] : processes_) all += "== " + id + "\n" + LogOf(id);
  return all;
}

void Site::Start(const std::string& id) {
  const size_t before = LogOf(id).size();
  TRIBUTARY_CHECK(TryStart(id)) << id << " did not start:\n" << LogOf(id).substr(before);
}

bool Site::TryStart(const std::string& id) {
  Process& process = Of(id);
  const size_t before = LogOf(id).size();
  process.running.emplace(Must(ChildProcess::Start(SpecOf(id))));
  const bool spoke = Eventually(
      [&] { return LogOf(id).find(".started ", before) != std::string::npos || process.running->Poll().has_value(); });
  return spoke && !process.running->Poll();
}

std::optional<int> Site::EndOf(const std::string& id) {
  Process& process = Of(id);
  TRIBUTARY_CHECK(process.running) << id << " was not started";
  return process.running->Poll();
}

Ended Site::RunToEnd(const std::string& id, const std::vector<std::string>& more) {
  const size_t before = LogOf(id).size();
  ChildProcess child = Must(ChildProcess::Start(SpecOf(id, more)));
  const auto code = child.WaitFor(kPatience);
  return {code.value_or(-1), LogOf(id).substr(before)};
}

void Site::Kill(const std::string& id) {
  Process& process = Of(id);
  TRIBUTARY_CHECK(process.running) << id << " does not run";
  process.running->Signal(SIGKILL);
  process.running->Wait();
  process.running.reset();
}

std::optional<int> Site::Stop(const std::string& id, Millis bound) {
  Process& process = Of(id);
  TRIBUTARY_CHECK(process.running) << id << " does not run";
  process.running->Signal(SIGTERM);
  const auto code = process.running->WaitFor(bound);
  process.running.reset();
  return code;
}

pid_t Site::PidOf(const std::string& id) const { return processes_.at(id).running.value().pid(); }

Ended Site::Run(const std::string& program, const std::vector<std::string>& arguments) {
  const Path output = folder_ / "run.out";
  Must(RealFileSystem().Remove(output));
  ChildProcess::Spec spec;
  spec.argv = {(programs_ / program).string()};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.log = output;
  spec.folder = folder_.path();
  ChildProcess child = Must(ChildProcess::Start(spec));
  const auto code = child.WaitFor(kPatience);
  return {code.value_or(-1), ReadText(output)};
}

const std::string& Site::token() {
  if (token_.empty()) {
    const Ended made = Run("tributary-aggregator",
                           {"token", "add", "test", "--role", "admin", "--config", ConfigOf("aggregator").string()});
    TRIBUTARY_CHECK(made.code == 0) << made.output;
    token_ = made.output.substr(0, made.output.find('\n'));
  }
  return token_;
}

ApiClient& Site::api() {
  if (!api_) {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(HttpPortOf("aggregator"));
    options.token = token();
    api_.emplace(Must(ApiClient::Create(options)));
  }
  return *api_;
}

void Site::AwaitSign(Millis bound) { LogWatch(folder_.path()).Wait(bound); }

std::string Site::PageOf(const std::string& id, const std::string& path) {
  HttpClient::Options options;
  options.url = "http://127.0.0.1:" + std::to_string(HttpPortOf(id));
  HttpClient client = Must(HttpClient::Create(options));
  const auto reply = client.Get(path);
  return reply ? reply->body : "";
}

double Site::MetricOf(const std::string& id, const std::string& line) {
  const std::string text = "\n" + PageOf(id, "/metrics");
  const size_t at = text.find("\n" + line + " ");
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + line.size() + 2, nullptr);
}

bool Site::Eventually(const std::function<bool()>& condition, Millis bound) {
  LogWatch watch(folder_.path());
  const SystemClock clock;
  const Millis end = clock.Monotonic() + bound;
  while (!condition()) {
    if (clock.Monotonic() >= end) return false;
    watch.Wait(kLookAgain);
  }
  return true;
}

}  // namespace tributary
