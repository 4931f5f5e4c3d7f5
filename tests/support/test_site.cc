#include "tests/support/test_site.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "aggregator/operator/command/http_client.h"
#include "protocol/base/limits.h"
#include "tests/support/must.h"
#include "tests/support/repository_folder.h"

namespace tributary {
namespace {

std::string ReadText(const Path& file) {
  const auto bytes = ReadFile(RealFileSystem(), file, 64 * limits::kMiB);
  return bytes ? std::string(AsText(*bytes)) : std::string();
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

}  // namespace

TestSite::TestSite(Path programs)
    : Site(fleet_.authority(), {.folder = folder_.path(),
                                .programs = programs,
                                .publication_root = fleet_.repository().root(),
                                .lifetime = kTestLifetime}),
      programs_(std::move(programs)) {}

int TestSite::FreePort() { return Must(Site::FreePort()); }

Site::Address TestSite::AddressOf(const std::string& id) const { return Must(Site::AddressOf(id)); }

void TestSite::AddAggregator(const std::string& host) {
  Must(Site::AddAggregator(host));
  WriteRepositoryFolder(fleet_.repository(), PublicationPath());
}

void TestSite::AddGateway(const std::string& id, const std::string& parent) { Must(Site::AddGateway(id, parent)); }

void TestSite::AddProcess(const std::string& id, const std::string& program, const std::string& config) {
  Must(Site::AddProcess(id, program, config));
}

void TestSite::ConnectUpThrough(const std::string& gateway, int port) {
  std::string config = ReadText(ConfigOf(gateway));
  const size_t begin = config.rfind(':', config.find("server_key")) + 1;
  config.replace(begin, config.find('"', begin) - begin, std::to_string(port));
  Must(WriteFileAtomically(RealFileSystem(), ConfigOf(gateway), AsBytes(config)));
}

ChildProcess TestSite::StartChild(const std::string& id, const std::vector<std::string>& more) const {
  ChildProcess::Spec spec = Must(SpecOf(id));
  spec.argv.insert(spec.argv.end(), more.begin(), more.end());
  if (const auto prefix = prefixes_.find(id); prefix != prefixes_.end())
    spec.argv.insert(spec.argv.begin(), prefix->second.begin(), prefix->second.end());
  return Must(ChildProcess::Start(spec));
}

std::string TestSite::Logs() const {
  std::string all;
  for (const std::string& id : Names()) all += "== " + id + "\n" + LogOf(id);
  return all;
}

void TestSite::Start(const std::string& id) {
  const size_t before = LogOf(id).size();
  TRIBUTARY_CHECK(TryStart(id)) << id << " did not start:\n" << LogOf(id).substr(before);
}

bool TestSite::TryStart(const std::string& id) {
  Process& process = Of(id);
  const size_t before = LogOf(id).size();
  process.running.emplace(StartChild(id));
  const bool spoke = Eventually(
      [&] { return LogOf(id).find(".started ", before) != std::string::npos || process.running->Poll().has_value(); });
  return spoke && !process.running->Poll();
}

Ended TestSite::RunToEnd(const std::string& id, const std::vector<std::string>& more) {
  const size_t before = LogOf(id).size();
  ChildProcess child = StartChild(id, more);
  const auto code = child.WaitFor(kPatience);
  return {code.value_or(-1), LogOf(id).substr(before)};
}

void TestSite::Kill(const std::string& id) {
  Process& process = Of(id);
  TRIBUTARY_CHECK(process.running) << id << " does not run";
  process.running->Signal(SIGKILL);
  process.running->Wait();
  process.running.reset();
}

Ended TestSite::Run(const std::string& program, const std::vector<std::string>& arguments) {
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

const std::string& TestSite::token() {
  if (token_.empty()) {
    const Ended made = Run("tributary-aggregator",
                           {"token", "add", "test", "--role", "admin", "--config", ConfigOf("aggregator").string()});
    TRIBUTARY_CHECK(made.code == 0) << made.output;
    token_ = made.output.substr(0, made.output.find('\n'));
  }
  return token_;
}

ApiClient& TestSite::api() {
  if (!api_) {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(HttpPortOf("aggregator"));
    options.token = token();
    api_.emplace(Must(ApiClient::Create(options)));
  }
  return *api_;
}

void TestSite::AwaitSign(Millis bound) { LogWatch(folder_.path()).Wait(bound); }

std::string TestSite::PageOf(const std::string& id, const std::string& path) {
  HttpClient::Options options;
  options.url = "http://127.0.0.1:" + std::to_string(HttpPortOf(id));
  HttpClient client = Must(HttpClient::Create(options));
  const auto reply = client.Get(path);
  return reply ? reply->body : "";
}

double TestSite::MetricOf(const std::string& id, const std::string& line) {
  const std::string text = "\n" + PageOf(id, "/metrics");
  const size_t at = text.find("\n" + line + " ");
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + line.size() + 2, nullptr);
}

bool TestSite::Eventually(const std::function<bool()>& condition, Millis bound) {
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
