// Everything that leaves a device whose plan keeps tensors personal: captured at the gateway, opened with the
// aggregator's key.
#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/examples/idx.h"
#include "device/examples/repeatable_random.h"
#include "device/torch/model.h"
#include "device/torch/torch_learner.h"
#include "protocol/envelope/open_upload.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/update_head.h"
#include "tests/device/agent/agent_fixture.h"
#include "tests/support/seeded_random.h"

namespace tributary::personal_wire_test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::unique_ptr<Model> SmallNet() {
  RepeatableRandom random(1);
  ModelSource source{"Net", {{"body.weight", {8, 784}, {}}, {"output.weight", {10, 8}, {}}, {"output.bias", {10}, {}}}, R"(
def forward(self, x):
    x = torch.relu(torch.linear(torch.flatten(x, 1), self.body.weight))
    return torch.linear(x, self.output.weight, self.output.bias)
)"};
  for (ModelSource::Parameter& parameter : source.parameters) {
    const int64_t size = parameter.shape[0] * (parameter.shape.size() == 2 ? parameter.shape[1] : 1);
    for (int64_t i = 0; i < size; ++i) parameter.values.push_back(static_cast<float>(0.2 * random.Unit() - 0.1));
  }
  return Model::FromSource(source).value();
}

// A device that learns with LibTorch. `names_head`: the task file names the head as personal, so that it is not in the
// table; else the plan's strategy keeps it.
struct PersonalSite : AgentFixture {
  static constexpr double kStep = 1.0 / 64;  // of a linear codec

  explicit PersonalSite(bool names_head) {
    learns = &torch;
    const auto set = LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest).value();
    examples.own = {Examples::All(set), Examples::All(set)};
    examples.own.training.indices.resize(60);
    examples.own.held_out.indices = {60, 61, 62, 63, 64, 65, 66, 67, 68, 69};
    const auto model = SmallNet();
    module = model->Save().value();
    task.plan.strategy = StrategyName::kFedPer;
    task.manifest = ManifestOfImages();
    if (names_head) task.manifest.personal = {"output.*"};
    task.table = model->table();
    weights = model->Weights();
    if (names_head) {
      task.table.tensors.resize(1);
      weights.resize(task.table.parameter_count());
    }
  }
  void PublishNet(uint64_t version) {
    Publication publication =
        PublicationOf(world, MakePublication(world, server.blobs, version, ModelVersion{version}));
    PublishedTask& published = publication.tasks[0];
    published.plan = task.plan;
    published.manifest = task.manifest;
    published.table = task.table;
    published.round->linear_step = kStep;
    published.module = {server.blobs.Put(module).value(), module.size()};
    const ByteView bytes = AsBytes(std::span<const float>(weights));
    published.weights = {server.blobs.Put(bytes).value(), bytes.size()};
    server->Publish(world.fleet.Publish(publication), version, /*root_version=*/1);
  }
  // The plaintexts of all uploads of the version, and what travels in the clear beside them.
  std::map<UploadKind, Bytes> Opened(uint64_t version) const {
    std::map<UploadKind, Bytes> opened;
    for (const auto& [id, stored] : server.sink.complete) {
      if (Number(stored.header.subject.base_version) != version) continue;
      auto opener = UploadOpener::Begin(stored.header, world.fleet.sealing_key()).value();
      Bytes& plaintext = opened[stored.header.subject.kind];
      for (const Bytes& chunk : stored.chunks) {
        Bytes part(limits::kMinChunkBytes);
        part.resize(opener.OpenChunk(chunk, part).value());
        Append(plaintext, part);
      }
    }
    return opened;
  }

  TorchLearner torch;
  Bytes module;
  PublishedTask task;
  std::vector<float> weights;
};

bool Holds(ByteView bytes, ByteView part) {
  return std::search(bytes.begin(), bytes.end(), part.begin(), part.end()) != bytes.end();
}
// Whether any two neighbours of the values lie there.
bool HoldsAnyOf(ByteView bytes, std::span<const float> values) {
  for (size_t i = 0; i + 2 <= values.size(); ++i) {
    const auto pair = values.subspan(i, 2);
    if ((pair[0] != 0 || pair[1] != 0) && Holds(bytes, AsBytes(pair))) return true;
  }
  return false;
}

TEST(PersonalWire, TheUpdateOfAFedPerRunHoldsNoPersonalTensor) {
  for (const bool names_head : {true, false}) {
    SCOPED_TRACE(names_head ? "in the task file" : "by the plan");
    PersonalSite device(names_head);
    device.Start();
    const std::vector<float> whole = SmallNet()->Weights();
    std::vector<float> before(whole.begin() + 8 * 784, whole.begin() + 8 * 784 + 80);
    for (uint64_t version = 1; version <= 2; ++version) {
      device.PublishNet(version);
      ASSERT_TRUE(device.RunUntilWithTime(
          [&] { return device.Delivered(UploadKind::kUpdate, version) == 1 && device.quiet(); }, 60'000))
          << device.StateText();
      const auto personal = device.Personal();
      ASSERT_TRUE(personal);
      const PersonalTensor* head = personal->Find("output.weight");
      ASSERT_NE(head, nullptr);
      EXPECT_TRUE(head->in_state);
      EXPECT_NE(head->values, before) << "it was trained";
      std::vector<float> change(head->values);
      for (size_t i = 0; i < change.size(); ++i) change[i] -= before[i];
      const auto opened = device.Opened(version);
      ASSERT_EQ(opened.size(), 2u) << "an update and an evaluation";
      for (const auto& [kind, plaintext] : opened) {
        EXPECT_THAT(std::string(AsText(plaintext)), Not(HasSubstr("output")));
        EXPECT_FALSE(HoldsAnyOf(plaintext, head->values));
        EXPECT_FALSE(HoldsAnyOf(plaintext, change));
        EXPECT_FALSE(HoldsAnyOf(plaintext, personal->Find("output.bias")->values));
      }
      before = head->values;
    }
    // The search finds what does travel: the body's change.
    const auto update = device.Opened(1).at(UploadKind::kUpdate);
    device.task.latest = ModelVersion{1};
    device.task.id = TestTask("digits");
    const Learned first = device.torch
                              .Learn({device.task, device.identity.subject.id, device.module, device.weights}, device.examples.own, {})
                              .value();
    EXPECT_TRUE(HoldsAnyOf(update, std::span(first.delta).first(64)));
  }
}

// Not even as noise: the codec sees the shared values alone, and the update is as long as theirs.
TEST(PersonalWire, UnderEveryCodecAnUpdateHasNoPlaceForAPersonalTensor) {
  constexpr uint64_t kBody = 8 * 784;
  for (const char* name : {"float32", "float16", "bfloat16", "block8", "block4", "eden1", "eden2", "eden4", "top1", "top5",
                           "linear8"}) {
    SCOPED_TRACE(name);
    PersonalSite device(/*names_head=*/false);
    device.task.plan.update_codec = {name};
    device.Start();
    device.PublishNet(1);
    ASSERT_TRUE(device.RunUntilWithTime(
        [&] { return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet(); }, 60'000))
        << device.StateText();
    const Bytes update = device.Opened(1).at(UploadKind::kUpdate);
    UpdateHeadReader head;
    ByteView values = update;
    const auto meta = head.Feed(values).value();
    ASSERT_TRUE(meta);
    EXPECT_EQ(meta->parameter_count, kBody);
    UpdateFormat format(*CodecNamed(name));
    if (IsLinear(format.codec)) format.linear = {Digest(), PersonalSite::kStep, 1, 1};
    SeededRandom random(1);
    const std::vector<float> body(kBody);
    EXPECT_EQ(update.size(), EncodeUpdate(format, {.weight = 1, .parameter_count = kBody}, body, &random)->size());
  }
}

}  // namespace
}  // namespace tributary::personal_wire_test
