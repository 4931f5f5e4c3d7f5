#include "aggregator/operator/demo/site.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

constexpr int kFirstPort = 10'000;
constexpr int kEndOfPorts = 32'000;

bool IsFree(int port) {
  const Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bind(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

// One counter for the whole process: a port that was handed out is not handed out again before it is listened on.
Result<int> Site::FreePort() {
  static int next = kFirstPort + getpid() * 37 % 20'000;
  for (int tries = kFirstPort; tries < kEndOfPorts; ++tries) {
    if (++next >= kEndOfPorts) next = kFirstPort;
    if (IsFree(next)) return next;
  }
  return Fail(Code::kIo, "no free port on the loopback address");
}

Site::~Site() {
  while (!processes_.empty()) processes_.pop_back();
}

Status Site::Issue(Role role, const std::string& id, const Path& folder) const {
  Subject subject;
  ASSIGN_OR_RETURN(subject.id, DeviceId::Parse(id));
  subject.role = role;
  if (role == Role::kDevice || role == Role::kEvaluator) subject.device_class = "virtual";
  return UnlessThere(
      IssueIdentity(authority_, subject, folder, SystemClock().Now(), options_.lifetime, options_.publication_root));
}

Status Site::UnlessThere(Status made) const {
  if (!made && made.error().code == Code::kAlreadyExists && options_.again) return {};
  return made;
}

Result<Site::Process*> Site::AddServer(const std::string& id, const std::string& program, const std::string& host) {
  Process process{.id = id, .program = program, .host = host};
  ASSIGN_OR_RETURN(process.hop_port, FreePort());
  ASSIGN_OR_RETURN(process.http_port, FreePort());
  return &processes_.emplace_back(std::move(process));
}

Status Site::AddAggregator(const std::string& host) {
  RETURN_IF_ERROR(Issue(Role::kAggregator, "aggregator", IdentityOf("aggregator")));
  ASSIGN_OR_RETURN(const auto issuer, authority_.CreateIssuer("site issuer", SystemClock().Now(), options_.lifetime));
  RETURN_IF_ERROR(UnlessThere(SaveAuthority(issuer, options_.folder / "aggregator/issuer", options_.publication_root)));
  ASSIGN_OR_RETURN(const Process* const process, AddServer("aggregator", "tributary-aggregator", host));
  const std::string config = fmt::format(
      "[aggregator]\ndata_dir = \"aggregator/data\"\nidentity_dir = \"aggregator/identity\"\n"
      "publication_dir = \"aggregator/publication\"\nissuer_dir = \"aggregator/issuer\"\n\n"
      "[listen]\nendpoint = \"tcp://{}:{}\"\n\n[http]\nport = {}\n",
      host, process->hop_port, process->http_port);
  return WriteFileAtomically(RealFileSystem(), ConfigOf("aggregator"), AsBytes(config));
}

Status Site::AddGateway(const std::string& id, const std::string& parent) {
  ASSIGN_OR_RETURN(const Address above, AddressOf(parent));
  RETURN_IF_ERROR(Issue(Role::kGateway, id, IdentityOf(id)));
  ASSIGN_OR_RETURN(const Process* const process, AddServer(id, "tributary-gateway", "127.0.0.1"));
  const std::string config = fmt::format(
      "[gateway]\ndata_dir = \"{0}/data\"\nidentity_dir = \"{0}/identity\"\n\n"
      "[listen]\nendpoint = \"tcp://127.0.0.1:{1}\"\n\n"
      "[upstream]\nendpoint = \"{2}\"\nserver_key = \"{3}\"\nretry_cap_seconds = 1\n\n[http]\nport = {4}\n",
      id, process->hop_port, above.endpoint, above.server_key, process->http_port);
  return WriteFileAtomically(RealFileSystem(), ConfigOf(id), AsBytes(config));
}

Status Site::AddProcess(const std::string& id, const std::string& program, const std::string& config) {
  processes_.push_back({.id = id, .program = program});
  return WriteFileAtomically(RealFileSystem(), ConfigOf(id), AsBytes(config));
}

Site::Process& Site::Of(const std::string& id) {
  const auto found = std::ranges::find(processes_, id, &Process::id);
  TRIBUTARY_CHECK(found != processes_.end()) << id;
  return *found;
}

Result<ChildProcess::Spec> Site::SpecOf(const std::string& id) const {
  const std::string& name = Of(id).program;
  Path program = options_.programs / name;
  if (options_.programs.empty()) {
    ASSIGN_OR_RETURN(program, FindProgram(name));
  }
  return ChildProcess::Spec{.argv = {program.string(), "--config", ConfigOf(id).string()},
                            .log = options_.folder / (id + ".log"),
                            .folder = options_.folder};
}

Status Site::Start(const std::string& id) {
  ASSIGN_OR_RETURN(const ChildProcess::Spec spec, SpecOf(id));
  ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(spec));
  Of(id).running.emplace(std::move(child));
  return {};
}

std::optional<int> Site::EndOf(const std::string& id) {
  Process& process = Of(id);
  return process.running ? process.running->Poll() : std::nullopt;
}

std::optional<int> Site::Stop(const std::string& id, Millis bound) {
  Process& process = Of(id);
  TRIBUTARY_CHECK(process.running) << id << " does not run";
  process.running->Signal(SIGTERM);
  const auto code = process.running->WaitFor(bound);
  process.running.reset();
  return code;
}

void Site::StopAll(Millis bound) {
  for (auto process = processes_.rbegin(); process != processes_.rend(); ++process) {
    if (process->running) Stop(process->id, bound);
  }
}

Result<Site::Address> Site::AddressOf(const std::string& id) const {
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(IdentityOf(id), SystemClock().Now()));
  const Process& process = Of(id);
  return Address{fmt::format("tcp://{}:{}", process.host, process.hop_port), ToHex(identity.subject.curve_public_key)};
}

std::vector<std::string> Site::Names() const {
  std::vector<std::string> names;
  for (const Process& process : processes_) names.push_back(process.id);
  return names;
}

std::vector<std::pair<std::string, pid_t>> Site::Running() const {
  std::vector<std::pair<std::string, pid_t>> running;
  for (const Process& process : processes_) {
    if (process.running) running.emplace_back(process.program, process.running->pid());
  }
  return running;
}

std::string Site::LogOf(const std::string& id) const {
  const auto log = ReadFile(RealFileSystem(), options_.folder / (id + ".log"), limits::kMiB << 10);
  return log ? std::string(AsText(*log)) : std::string();
}

}  // namespace tributary
