#include <chrono>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include "protocol/base/code.h"
#include "tests/support/hostile_member.h"
#include "tests/support/must.h"

// hostile-member --config FILE: one enrolled member that plays all rows of hostile_member.h, again and again, to each
// of its servers in turn, until it is killed. An honest one beside it follows the publication, so that the rows are
// about the round that is open. Says `hostile.pass SERVER` when all rows were played to a server, and `hostile.wrong
// ROW: ANSWER` for an answer that is not right. The file:
//
//   HONEST_IDENTITY_DIR FOLDER
//   HOSTILE_IDENTITY_DIR
//   NAME ENDPOINT SERVER_KEY      of each server; the first one is also the honest member's
namespace tributary {
namespace {

struct Server {
  std::string name;
  Site::Address address;
  std::unique_ptr<HostileMember> member = nullptr;
  size_t next = 0;  // of the rows
};

// The server went away, or has enough of this member for now.
bool Passes(const std::string& answer) {
  if (answer == "silence") return true;
  const std::string closed = "closed: ";
  const auto code = CodeByName(answer.starts_with(closed) ? answer.substr(closed.size()) : answer);
  return code && (KindOf(*code) == CodeKind::kPassing || KindOf(*code) == CodeKind::kEnvironment);
}

// Goes on with the rows where it stopped, until the server cannot be had or all were played.
void Play(Server& server) {
  static const std::vector<HostileRow> rows = HostileRows();
  const bool by_gateway = server.name != "aggregator";
  for (; server.next < rows.size(); ++server.next) {
    const HostileRow& row = rows[server.next];
    const std::string answer = row.act(*server.member);
    if (answer == "unreachable") return;
    // It says all this again and again: of a version that a server heard of from it before, nothing more is taken. The
    // aggregator says so before it adds up, and so before it could say that a total has no end.
    const bool heard_before = answer == "already" || answer == "duplicate" ||
                              (answer == "custody" && row.answers == std::vector<std::string>{"norm-exceeded"});
    if (heard_before || row.IsAnsweredBy(answer, by_gateway) || Passes(answer)) continue;
    std::cout << "hostile.wrong " << row.name << ": " << answer << std::endl;
  }
  server.next = 0;
  std::cout << "hostile.pass " << server.name << std::endl;
}

[[noreturn]] void PlayForEver(const Path& config) {
  DeviceThread thread;
  std::ifstream lines(config);
  Path honest, folder, hostile;
  TRIBUTARY_CHECK(static_cast<bool>(lines >> honest >> folder >> hostile)) << config.string();
  const Identity identity = Must(LoadIdentity(hostile, SystemClock().Now()));
  std::vector<Server> servers;
  Server server;
  while (lines >> server.name >> server.address.endpoint >> server.address.server_key)
    servers.push_back({.name = server.name, .address = server.address});
  SyntheticDevice watcher(thread, Must(LoadIdentity(honest, SystemClock().Now())), {servers.at(0).address, folder});
  std::cout << "hostile.started " << servers.size() << std::endl;
  while (!watcher.AwaitRoundAfter(0)) {
  }
  Publication publication = watcher.publication();
  for (Server& each : servers)
    each.member = std::make_unique<HostileMember>(thread, identity, each.address, publication);
  for (;;) {
    for (Server& each : servers) {
      publication = watcher.publication();
      Play(each);
    }
    // A load generator's pace: a member that is turned away at once would otherwise do nothing but connect.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  TRIBUTARY_CHECK(argc == 3 && std::string(argv[1]) == "--config") << "usage: hostile-member --config FILE";
  tributary::PlayForEver(argv[2]);
}
