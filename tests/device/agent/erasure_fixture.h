#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "device/learn/collection_examples.h"
#include "tests/device/agent/agent_fixture.h"
#include "tests/device/examples/collection_fixture.h"

namespace tributary {

// A device that learns from a collection of three examples, a, b and c, in its data folder.
struct ErasureFixture : AgentFixture {
  explicit ErasureFixture(Role role = Role::kDevice, Retention retention = {}) : AgentFixture(role) {
    std::filesystem::create_directories(folder);
    const auto store = Store();
    CollectionSettings settings = Readings("examples", retention, 0);
    settings.fields[0].name = "image";
    settings.fields[1].name = "label";
    Must(store->Create(settings, world.clock.Now()));
    Must(store->Add("examples", {{of_a, Reading(4, 5, 6, "b"), Reading(7, 8, 9, "c")}}, world.clock.Now()));
    Refuse();
  }

  void Start() {
    // A fit that was cut off may still be queued, and use the former one.
    sources.push_back(std::make_unique<CollectionExamples>(
        world.clock, CollectionExamples::Options{folder, identity.subject.role == Role::kEvaluator, {}}));
    source = sources.back().get();
    AgentFixture::Start();
  }
  // As another process does it.
  std::unique_ptr<CollectionStore> Store() const { return Must(CollectionStore::Open(folder)); }
  uint64_t EraseA() const { return Must(Store()->Remove("examples", "a")); }

  // The gateway takes nothing now.
  void Refuse() {
    server.sink.judge = [](const SignedEnvelope&) { return Fail(Code::kBusy, "later"); };
  }
  void Accept() {
    server.sink.judge = [](const SignedEnvelope&) { return std::nullopt; };
  }
  // Until what a version gives waits in the outbox.
  bool RunUntilItWaits(uint64_t uploads) {
    return RunUntilWithTime([&] { return agent->account().Spooled() == uploads && IsNoted(); });
  }
  bool IsNoted() const { return StateText().find("digits handed_over") != std::string::npos; }
  // The beginnings of all payloads that lie in the outbox.
  std::vector<std::string> Payloads() const {
    std::vector<std::string> texts;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "outbox" / "payloads")) {
      const Bytes bytes = Must(ReadFile(RealFileSystem(), entry.path(), limits::kMiB));
      texts.emplace_back(AsText(bytes).substr(0, 48));
    }
    return texts;
  }
  std::vector<std::string> FilesWithAny(const std::vector<std::string>& texts) const {
    std::vector<std::string> found;
    for (const std::string& text : texts) {
      for (std::string& file : FilesWith(folder, text)) found.push_back(std::move(file));
    }
    return found;
  }
  uint64_t Dropped(UploadKind kind) const {
    const auto dropped = agent->account().of(kind).dropped;
    const auto found = dropped.find(Code::kErased);
    return found == dropped.end() ? 0 : found->second;
  }

  const NewExample of_a = Reading(1234.5F, 5432.25F, 0x5eedbeef, "a");
  const std::string bytes_of_a{AsText(of_a.values)};
  std::vector<std::unique_ptr<CollectionExamples>> sources;
};

}  // namespace tributary
