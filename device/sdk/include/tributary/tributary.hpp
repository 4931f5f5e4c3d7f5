#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tributary.h"

// The same as tributary.h for C++17 and newer, over it and in this header alone: what stands there of order, threads,
// callbacks and durability holds here. Nothing is thrown; what may fail returns a Result. A callback that throws is taken
// for one that answered no, or TRIBUTARY_IO.
namespace tributary {
inline namespace v0 {

struct Error {
  int code = TRIBUTARY_OK;
  std::string message = {};  // what happened, what is safe, what to do
  const char* name() const { return tributary_code_name(code); }
};

// A value, or why there is none. `if (auto count = device.Count("x")) use(*count); else show(count.error());` The value
// of one that has none is our caller's bug, and ends the process.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const { return value_.has_value(); }
  const T& operator*() const& { return Has().value_.operator*(); }
  T& operator*() & { return const_cast<T&>(*std::as_const(*this)); }
  T&& operator*() && { return std::move(**this); }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }
  const Error& error() const { return error_; }

 private:
  const Result& Has() const { return value_ ? *this : (std::abort(), *this); }
  std::optional<T> value_;
  Error error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result(Error error = {}) : error_(std::move(error)) {}
  explicit operator bool() const { return error_.code == TRIBUTARY_OK; }
  const Error& error() const { return error_; }

 private:
  Error error_;
};
using Status = Result<void>;

enum class DType : uint32_t {
  kBool = TRIBUTARY_BOOL,
  kUint8 = TRIBUTARY_UINT8,
  kInt8 = TRIBUTARY_INT8,
  kInt16 = TRIBUTARY_INT16,
  kInt32 = TRIBUTARY_INT32,
  kInt64 = TRIBUTARY_INT64,
  kFp32 = TRIBUTARY_FP32,
  kFp64 = TRIBUTARY_FP64
};

template <class T>
constexpr DType DTypeOf() {
  if constexpr (std::is_same_v<T, bool>) return DType::kBool;
  else if constexpr (std::is_same_v<T, uint8_t>) return DType::kUint8;
  else if constexpr (std::is_same_v<T, int8_t>) return DType::kInt8;
  else if constexpr (std::is_same_v<T, int16_t>) return DType::kInt16;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::kInt32;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::kInt64;
  else if constexpr (std::is_same_v<T, float>) return DType::kFp32;
  else {
    static_assert(std::is_same_v<T, double>, "no dtype for this type");
    return DType::kFp64;
  }
}

// Named values in C order. It borrows them: they must live while it is used.
struct Tensor {
  std::string name;
  DType dtype = DType::kFp32;
  std::vector<int64_t> shape;
  const void* data = nullptr;
  size_t bytes = 0;

  // `count` values, of which the shape must be.
  template <class T>
  static Tensor Of(std::string name, std::vector<int64_t> shape, const T* values, size_t count) {
    return {std::move(name), DTypeOf<T>(), std::move(shape), values, count * sizeof(T)};
  }
  template <class T>
  static Tensor Of(std::string name, std::vector<int64_t> shape, const std::vector<T>& values) {
    return Of(std::move(name), std::move(shape), values.data(), values.size());
  }
  // A number.
  template <class T>
  static Tensor Of(std::string name, const T& value) {
    return Of(std::move(name), {}, &value, 1);
  }
  // A copy of the values; empty when T is not of the dtype.
  template <class T>
  std::vector<T> As() const {
    if (DTypeOf<T>() != dtype) return {};
    std::vector<T> values(bytes / sizeof(T));
    if (bytes > 0) std::memcpy(values.data(), data, bytes);
    return values;
  }
};

struct Field {
  std::string name;
  DType dtype = DType::kFp32;
  std::vector<int64_t> shape = {};  // of one example; one dimension may be -1
};

struct Collection {
  std::string name;
  std::vector<Field> fields;
  std::string purpose = {};
  uint64_t max_age_seconds = 0, max_count = 0, max_bytes = 0;  // 0: no such bound
  double held_out_share = 0.1;
};

struct CollectionState {
  Collection collection;
  uint64_t examples = 0, bytes = 0;
};

struct Example {
  std::vector<Tensor> tensors;
  std::string id = {};
  std::string group = {};
};

struct Options {
  std::string folder;
  std::string gateway = {};
  std::string server_key = {};
  std::string identity_folder = {};
  std::vector<std::string> learner = {};
  uint64_t learner_memory_mib = 0;
  uint32_t learner_cores = 0, learner_seconds = 0;
  uint64_t outbox_max_mib = 0;
  uint32_t retry_cap_seconds = 0;
  bool reports = true;
};

enum class EventKind : int32_t {
  kConnected = TRIBUTARY_CONNECTED,
  kDisconnected = TRIBUTARY_DISCONNECTED,
  kVersionArrived = TRIBUTARY_VERSION_ARRIVED,
  kTrainingStarted = TRIBUTARY_TRAINING_STARTED,
  kTrained = TRIBUTARY_TRAINED,
  kModelChanged = TRIBUTARY_MODEL_CHANGED,
  kDelivered = TRIBUTARY_DELIVERED,
  kWaiting = TRIBUTARY_WAITING,
  kFailed = TRIBUTARY_FAILED
};

struct Event {
  EventKind kind = {};
  int code = TRIBUTARY_OK;
  uint64_t version = 0;
  std::string task;
  std::string text;
};

// The outputs borrow the prediction's memory. Movable.
class Prediction {
 public:
  explicit Prediction(tributary_prediction* prediction) : given_(prediction, tributary_free) {
    for (uint32_t i = 0; i < given_->output_count; ++i) {
      const tributary_tensor& one = given_->outputs[i];
      outputs_.push_back({one.name, static_cast<DType>(one.dtype), {one.shape, one.shape + one.ndim}, one.data, one.bytes});
    }
  }
  const std::vector<Tensor>& outputs() const { return outputs_; }
  const Tensor* Find(const std::string& name) const {
    for (const Tensor& one : outputs_) {
      if (one.name == name) return &one;
    }
    return nullptr;
  }
  uint64_t version() const { return given_->version; }
  bool personal() const { return given_->personal != 0; }

 private:
  std::unique_ptr<tributary_prediction, void (*)(void*)> given_;
  std::vector<Tensor> outputs_;
};

// A collection that the program keeps. `open` begins at the first example; what it returns is called until it answers
// false or an error, and then destroyed. It fills the example, whose tensors borrow from what it keeps until its next call.
struct Source {
  using Next = std::function<Result<bool>(Example& example)>;
  std::string collection;
  std::vector<Field> fields;
  double held_out_share = 0.1;
  std::function<Result<Next>()> open;
};

inline const char* Version() { return tributary_version(); }

// Movable; the destructor stops and closes it. Not to be destroyed inside one of its callbacks.
class Device {
 public:
  static Result<Device> Open(const Options& options) {
    std::vector<const char*> learner;
    for (const std::string& word : options.learner) learner.push_back(word.c_str());
    learner.push_back(nullptr);
    tributary_options given = {};
    given.struct_size = sizeof(given);
    given.retry_cap_seconds = options.retry_cap_seconds;
    given.folder = options.folder.c_str();
    given.gateway = TextOrNull(options.gateway);
    given.server_key = TextOrNull(options.server_key);
    given.identity_folder = TextOrNull(options.identity_folder);
    given.learner = options.learner.empty() ? nullptr : learner.data();
    given.learner_memory_mib = options.learner_memory_mib;
    given.learner_cores = options.learner_cores;
    given.learner_seconds = options.learner_seconds;
    given.outbox_max_mib = options.outbox_max_mib;
    given.no_reports = options.reports ? 0 : 1;
    tributary_device* device = nullptr;
    Status opened = Call([&](tributary_error* error) { return tributary_open(&given, &device, error); });
    if (!opened) return opened.error();
    return Device(device);
  }

  // `timeout_ms` 0: as long as it takes.
  Status Enrol(const std::string& invitation, const std::string& id = {}, uint32_t timeout_ms = 0) {
    return Call([&](tributary_error* error) {
      return tributary_enrol(get(), invitation.c_str(), TextOrNull(id), timeout_ms, error);
    });
  }
  Status SetEvents(std::function<void(const Event&)> on_event) {
    auto next = std::make_unique<std::function<void(const Event&)>>(std::move(on_event));
    Status set = Call([&](tributary_error* error) {
      return tributary_set_events(get(), *next ? TellEvent : nullptr, next.get(), error);
    });
    if (set) on_event_ = std::move(next);
    return set;
  }
  Status SetConditions(std::function<bool()> may_train) {
    auto next = std::make_unique<std::function<bool()>>(std::move(may_train));
    Status set = Call([&](tributary_error* error) {
      return tributary_set_conditions(get(), *next ? AskMayTrain : nullptr, next.get(), error);
    });
    if (set) may_train_ = std::move(next);
    return set;
  }
  Status Start() { return Call([&](tributary_error* error) { return tributary_start(get(), error); }); }
  // In how many milliseconds to call again at the latest.
  Result<uint32_t> Tick(uint32_t budget_ms) {
    return Get<uint32_t>([&](uint32_t* next, tributary_error* error) { return tributary_tick(get(), budget_ms, next, error); });
  }
  Status Stop() { return Call([&](tributary_error* error) { return tributary_stop(get(), error); }); }
  // JSON.
  Result<std::string> Describe() const {
    auto json = Get<char*>([&](char** text, tributary_error* error) { return tributary_status(get(), text, error); });
    if (!json) return json.error();
    const std::unique_ptr<char, void (*)(void*)> owner(*json, tributary_free);
    return std::string(owner.get());
  }

  Status Create(const Collection& collection) {
    const std::vector<tributary_field> fields = Given(collection.fields);
    tributary_collection given = {};
    given.struct_size = sizeof(given);
    given.field_count = static_cast<uint32_t>(fields.size());
    given.name = collection.name.c_str();
    given.fields = fields.data();
    given.purpose = collection.purpose.c_str();
    given.max_age_seconds = collection.max_age_seconds;
    given.max_count = collection.max_count;
    given.max_bytes = collection.max_bytes;
    given.held_out_share = GivenShare(collection.held_out_share);
    return Call([&](tributary_error* error) { return tributary_create(get(), &given, error); });
  }
  // All or none; much faster than one at a time.
  Status AddAll(const std::string& collection, const std::vector<Example>& examples) {
    std::vector<std::vector<tributary_tensor>> tensors(examples.size());
    std::vector<tributary_example> given(examples.size());
    for (size_t i = 0; i < examples.size(); ++i) given[i] = Given(examples[i], tensors[i]);
    return Call([&](tributary_error* error) {
      return tributary_add(get(), collection.c_str(), given.data(), given.size(), error);
    });
  }
  Status Add(const std::string& collection, const Example& example) {
    std::vector<tributary_tensor> tensors;
    const tributary_example given = Given(example, tensors);
    return Call([&](tributary_error* error) { return tributary_add(get(), collection.c_str(), &given, 1, error); });
  }
  // How many were removed.
  Result<uint64_t> Remove(const std::string& collection, const std::string& id) {
    return Get<uint64_t>([&](uint64_t* removed, tributary_error* error) {
      return tributary_remove(get(), collection.c_str(), id.c_str(), removed, error);
    });
  }
  Result<uint64_t> RemoveGroup(const std::string& collection, const std::string& group) {
    return Get<uint64_t>([&](uint64_t* removed, tributary_error* error) {
      return tributary_remove_group(get(), collection.c_str(), group.c_str(), removed, error);
    });
  }
  Result<uint64_t> Clear(const std::string& collection) {
    return Get<uint64_t>([&](uint64_t* removed, tributary_error* error) {
      return tributary_clear(get(), collection.c_str(), removed, error);
    });
  }
  Result<uint64_t> Drop(const std::string& collection) {
    return Get<uint64_t>([&](uint64_t* removed, tributary_error* error) {
      return tributary_drop(get(), collection.c_str(), removed, error);
    });
  }
  Result<uint64_t> Count(const std::string& collection) const {
    return Get<uint64_t>([&](uint64_t* examples, tributary_error* error) {
      return tributary_count(get(), collection.c_str(), examples, error);
    });
  }
  Result<std::vector<CollectionState>> List() const {
    auto list = Get<tributary_collection_list*>([&](tributary_collection_list** place, tributary_error* error) {
      return tributary_list(get(), place, error);
    });
    if (!list) return list.error();
    const std::unique_ptr<tributary_collection_list, void (*)(void*)> owner(*list, tributary_free);
    std::vector<CollectionState> states;
    for (uint32_t i = 0; i < owner->count; ++i) {
      const tributary_collection& one = owner->collections[i];
      Collection collection{one.name, {}, one.purpose, one.max_age_seconds, one.max_count, one.max_bytes,
                            one.held_out_share < 0 ? 0 : one.held_out_share};
      for (uint32_t k = 0; k < one.field_count; ++k) {
        const tributary_field& field = one.fields[k];
        collection.fields.push_back({field.name, static_cast<DType>(field.dtype), {field.shape, field.shape + field.ndim}});
      }
      states.push_back({std::move(collection), owner->examples[i], owner->bytes[i]});
    }
    return states;
  }

  Status Host(Source source) {
    auto hosted = std::make_unique<Source>(std::move(source));
    const std::vector<tributary_field> fields = Given(hosted->fields);
    tributary_source given = {};
    given.struct_size = sizeof(given);
    given.field_count = static_cast<uint32_t>(fields.size());
    given.collection = hosted->collection.c_str();
    given.fields = fields.data();
    given.held_out_share = GivenShare(hosted->held_out_share);
    given.open = OpenSource;
    given.next = NextOfSource;
    given.close = CloseSource;
    given.user = hosted.get();
    Status set = Call([&](tributary_error* error) { return tributary_host(get(), &given, error); });
    if (set) sources_.push_back(std::move(hosted));
    return set;
  }
  Status HostChanged(const std::string& collection) {
    return Call([&](tributary_error* error) { return tributary_host_changed(get(), collection.c_str(), error); });
  }
  Status HostErased(const std::string& collection) {
    return Call([&](tributary_error* error) { return tributary_host_erased(get(), collection.c_str(), error); });
  }

  Result<Prediction> Predict(const std::string& task, const std::vector<Tensor>& inputs) {
    const std::vector<tributary_tensor> given = Given(inputs);
    auto prediction = Get<tributary_prediction*>([&](tributary_prediction** place, tributary_error* error) {
      return tributary_predict(get(), task.c_str(), given.data(), given.size(), place, error);
    });
    if (!prediction) return prediction.error();
    return Prediction(*prediction);
  }

  Device(Device&&) = default;
  Device& operator=(Device&& other) noexcept {
    device_ = std::move(other.device_);  // ends the former one, before its callbacks go
    on_event_ = std::move(other.on_event_);
    may_train_ = std::move(other.may_train_);
    sources_ = std::move(other.sources_);
    return *this;
  }
  // For the functions of tributary.h.
  tributary_device* get() const { return device_.get(); }

 private:
  struct Close {
    void operator()(tributary_device* device) const { tributary_close(device, nullptr); }
  };
  struct Iterator {
    Source::Next next;
    Example example = {};
    std::vector<tributary_tensor> tensors = {};
  };

  explicit Device(tributary_device* device) : device_(device) {}

  template <class Function>
  static Status Call(Function function) {
    tributary_error error = {};
    error.struct_size = sizeof(error);
    const int code = function(&error);
    return code == TRIBUTARY_OK ? Status() : Status(Error{code, error.message});
  }
  template <class T, class Function>
  static Result<T> Get(Function function) {
    T value = {};
    Status done = Call([&](tributary_error* error) { return function(&value, error); });
    if (!done) return done.error();
    return value;
  }
  static const char* TextOrNull(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }
  static double GivenShare(double share) { return share == 0 ? -1 : share; }
  static std::vector<tributary_field> Given(const std::vector<Field>& fields) {
    std::vector<tributary_field> given;
    for (const Field& field : fields) {
      given.push_back({field.name.c_str(), static_cast<uint32_t>(field.dtype), static_cast<uint32_t>(field.shape.size()),
                       field.shape.data()});
    }
    return given;
  }
  static std::vector<tributary_tensor> Given(const std::vector<Tensor>& tensors) {
    std::vector<tributary_tensor> given;
    given.reserve(tensors.size());
    for (const Tensor& tensor : tensors) {
      given.push_back({tensor.name.c_str(), static_cast<uint32_t>(tensor.dtype), static_cast<uint32_t>(tensor.shape.size()),
                       tensor.shape.data(), tensor.data, tensor.bytes});
    }
    return given;
  }
  static tributary_example Given(const Example& example, std::vector<tributary_tensor>& tensors) {
    tensors = Given(example.tensors);
    tributary_example given = {};
    given.struct_size = sizeof(given);
    given.tensor_count = static_cast<uint32_t>(tensors.size());
    given.tensors = tensors.data();
    given.id = TextOrNull(example.id);
    given.group = TextOrNull(example.group);
    return given;
  }

  static void TellEvent(void* user, const tributary_event* event) {
    try {
      (*static_cast<std::function<void(const Event&)>*>(user))(
          {static_cast<EventKind>(event->kind), event->code, event->version, event->task, event->text});
    } catch (...) {
    }
  }
  static int AskMayTrain(void* user) {
    try {
      return (*static_cast<std::function<bool()>*>(user))() ? 1 : 0;
    } catch (...) {
      return 0;
    }
  }
  static int OpenSource(void* user, void** iterator) {
    try {
      auto next = static_cast<Source*>(user)->open();
      if (!next) return next.error().code;
      *iterator = new Iterator{std::move(*next)};
      return TRIBUTARY_OK;
    } catch (...) {
      return TRIBUTARY_IO;
    }
  }
  static int NextOfSource(void*, void* iterator, tributary_example* example) {
    try {
      auto& at = *static_cast<Iterator*>(iterator);
      at.example = {};
      const auto more = at.next(at.example);
      if (!more) return more.error().code;
      if (!*more) return TRIBUTARY_END;
      const tributary_example given = Given(at.example, at.tensors);
      example->tensor_count = given.tensor_count;
      example->tensors = given.tensors;
      example->id = given.id;
      example->group = given.group;
      return TRIBUTARY_OK;
    } catch (...) {
      return TRIBUTARY_IO;
    }
  }
  static void CloseSource(void*, void* iterator) { delete static_cast<Iterator*>(iterator); }

  // Before device_, so that they outlive it.
  std::unique_ptr<std::function<void(const Event&)>> on_event_;
  std::unique_ptr<std::function<bool()>> may_train_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::unique_ptr<tributary_device, Close> device_;
};

}  // namespace v0
}  // namespace tributary
