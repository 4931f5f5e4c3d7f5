#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "device/agent/personal_store.h"
#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/catalogue/publication.h"
#include "protocol/envelope/envelope.h"
#include "protocol/hop/client/client.h"
#include "protocol/transport/loop.h"

namespace tributary {

enum class DeviceEventKind : uint8_t {
  kConnected = 1,        // a session with the gateway is there
  kDisconnected = 2,     // it is gone; why
  kVersionArrived = 3,   // a newer version of the task's model is here, whole and verified
  kTrainingStarted = 4,  // an evaluator: it evaluates
  kTrained = 5,          // what the fit, the version and the device's own model were measured at
  kModelChanged = 6,     // predictions come from another model from now on: "global" or "personal"
  kDelivered = 7,        // the gateway has custody: "update" or "evaluation"
  kWaiting = 8,          // why nothing is trained; once for each reason
  kFailed = 9,           // the device goes on
};
std::string_view DeviceEventName(DeviceEventKind kind);  // "version-arrived"

// What a device tells the application that it lives in. Value type.
struct DeviceEvent {
  DeviceEventKind kind{};
  TaskId task = {};           // empty: of the whole device
  ModelVersion version = {};  // 0: of none
  std::optional<Code> code = {};
  std::string text = {};  // for people
};

// Tells what a device does, each thing once and in the order in which it happened, on the loop's thread, when the agent's
// own work of that turn is done: the listener may do what it likes but end the agent. On the loop's thread; everything
// given to the constructor must outlive it, but what the listener is told may come after its end. Without a listener it
// does nothing.
class DeviceEvents final : public HopClient::Part {
 public:
  using Listener = std::function<void(const DeviceEvent&)>;
  struct Parts {
    Loop& loop;
    Executor& disk;  // to look which models are in use
    const PersonalStore& personal;
  };
  DeviceEvents(const Parts& parts, Listener listener) : parts_(parts), listener_(std::move(listener)) {}
  ~DeviceEvents() override { *alive_ = false; }

  void Tell(DeviceEvent event);
  // `why` keeps the device from training, or the task when that is named. Told when it is another reason than before.
  void TellWaiting(const TaskId& task, ModelVersion version, std::optional<Code> code, const std::string& why);
  void TellTraining(const TaskId& task, ModelVersion version);
  // It is in force. `arrived`: it came now; else it was kept from before.
  void OnPublication(const Publication& publication, bool arrived);
  // A personal model may have come, gone or changed.
  void LookAtModels();
  // It is in the outbox; the delivery of uploads that are not expected is not told.
  void Expect(const UploadId& upload, UploadKind kind, const TaskId& task, ModelVersion version);
  // The gateway has taken custody, or it was given up.
  void OnGone(const UploadId& upload, bool delivered);

  void OnUp() override { Tell({.kind = DeviceEventKind::kConnected}); }
  void OnDown() override;
  void OnMessage(const hop::Message&, ByteView) override {}
  // Asked why a session ended.
  void Watch(const HopClient& client) { client_ = &client; }

 private:
  struct InUse {
    ModelVersion version{};
    bool personal = false;
    bool operator==(const InUse&) const = default;
  };
  void OnLooked(const std::map<TaskId, InUse>& now);

  Parts parts_;
  Listener listener_;
  const HopClient* client_ = nullptr;
  std::vector<PublishedTask> tasks_;  // of the publication in force
  std::map<TaskId, InUse> in_use_;    // as told
  bool looking_ = false;
  bool look_again_ = false;
  std::map<TaskId, std::string> waiting_;  // as told; empty id: the whole device
  std::map<UploadId, DeviceEvent> expected_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// An application's answer whether the device may train, asked four times a second at most: a learner looks every 50 ms.
// Empty: always. For one thread; copies ask by themselves.
std::function<bool()> AskedNowAndThen(std::function<bool()> may_train, const Clock& clock);

// Which model a device with this publication predicts with: the personal model whose tensors stand in place of the version's;
// nullopt: the version itself. A personal model that does not fit the task any more is not used. Changes nothing. Errors:
// those of the file system.
Result<std::optional<PersonalModel>> PersonalInUse(const PersonalStore& store, const PublishedTask& task);

}  // namespace tributary
