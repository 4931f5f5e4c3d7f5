#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "device/examples/example_set.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/payload/evaluation.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"

// The messages between an agent and a learner in a process of its own. PROTOCOL.md beside this file is their one
// description.
namespace tributary::learner {

inline constexpr uint64_t kProtocol = 1;
// A message's line of JSON: a manifest of 64 KiB, escaped, and what stands beside it.
inline constexpr size_t kLineBytes = 256 * 1024;
// The most bytes that one message "values" or "ends" brings, so that neither side holds the examples twice.
inline constexpr size_t kPartBytes = 1024 * 1024;
// The most bytes of the examples that are predicted at once, and of the answer.
inline constexpr size_t kPredictionBytes = 256 * 1024 * 1024;

enum class Share : uint8_t { kTraining, kHeldOut };

struct Hello {
  uint64_t protocol = kProtocol;
  std::vector<std::string> formats = {};  // of modules that a learner reads
  std::string program = {};
};
struct Module {};
struct Weights {};
struct Tensors {};
struct ExampleSchema {
  Share share{};
  uint64_t count = 0;
  std::vector<ExampleField> fields;
};
// A part of a column: its values, or the ends of its examples.
struct ColumnPart {
  Share share{};
  std::string field;
  bool ends = false;
};
enum class OrderKind : uint8_t { kLearn, kEvaluate, kLoad };  // types "learn", "evaluate", "load"
struct Order {
  OrderKind kind{};
  TaskId task;
  ModelVersion version{};
  DeviceId device;
  TrainingPlan plan;
  TaskManifest manifest;
  uint64_t parameters = 0;
};
// The device's personal model, as its file (personal_model.h): to the learner before the order, and back before "learned".
struct Personal {};
struct Cancel {};
struct Bye {};
struct Progress {
  uint64_t steps = 0;
  double loss = 0;
};
struct Done {
  uint64_t examples = 0;
  double loss = 0;
  uint64_t steps = 0;
  uint64_t millis = 0;
  uint64_t peak_memory_bytes = 0;
};
// The model of the order "load" is ready.
struct Loaded {};
// Examples to predict for: of each field its "ends", if a dimension varies, then its values.
struct Predict {
  uint64_t count = 0;
  std::vector<ExampleField> fields;
};
// The values of the outputs follow, one after the other.
struct Predicted {
  EvaluatedModel model{};
  uint64_t count = 0;
  uint64_t millis = 0;
  std::vector<TaskOutput> outputs;
};
using Message = std::variant<Hello, Module, Weights, Tensors, ExampleSchema, ColumnPart, Order, Cancel, Bye, Progress,
                             EvaluationResult, Done, Error, Personal, Loaded, Predict, Predicted>;

// A message's first line, and how many bytes follow it.
struct Head {
  Message message;
  uint64_t bytes = 0;
};

// The line, with its newline.
std::string Encode(const Head& head);
// `line` without its newline. kLearnerProtocol: it is no message, a value is missing or out of bounds. An error whose
// code is not on the list of codes, or passes by itself, comes as one of code kLearnerProtocol.
Result<Head> Decode(std::string_view line);

// The bytes of the message "tensors". ReadTensors: kLearnerProtocol.
std::string TensorsText(const TensorTable& table);
Result<TensorTable> ReadTensors(ByteView text);

// One end of the socket pair. One thread; the descriptor is borrowed.
class Channel {
 public:
  // Asked while nothing moves, at least every 50 ms. An error ends what was waited for, with it. Empty: it waits for ever.
  using Wait = std::function<Status()>;
  explicit Channel(int socket, Wait wait = {}) : socket_(socket), wait_(std::move(wait)) {}

  // Errors, of all: kLearnerCrashed: the other end is closed; those of `wait`.
  Status Send(const Message& message, ByteView bytes = {}) { return SendParts(message, {&bytes, 1}); }
  // The message's bytes are those of the parts, one after the other.
  Status SendParts(const Message& message, std::span<const ByteView> parts);
  // Its bytes must be received next. kLearnerProtocol: no newline within kLineBytes, the other end closed in the middle,
  // or as Decode.
  Result<Head> Receive();
  Status ReceiveBytes(MutableByteView into);
  // Something waits to be received.
  bool HasInput() const;
  // A message was sent in part only, so that none can follow.
  bool cut_off() const { return cut_off_; }

 private:
  Status SendAll(ByteView bytes);
  // Waits until there is something, and takes what fits; how many bytes.
  Result<size_t> Take(MutableByteView into);
  // Takes something into the buffer.
  Status Fill();
  Status AwaitSocket(short events);

  int socket_;
  Wait wait_;
  Bytes buffer_;
  size_t used_ = 0;    // bytes of the buffer that were taken …
  size_t filled_ = 0;  // … of so many that came
  bool cut_off_ = false;
};

}  // namespace tributary::learner
