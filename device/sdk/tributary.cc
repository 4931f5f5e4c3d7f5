#include "device/sdk/include/tributary/tributary.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "device/examples/example_writer.h"
#include "device/sdk/arguments.h"
#include "device/sdk/calls_under_way.h"
#include "device/sdk/device_settings.h"
#include "device/sdk/embedded_device.h"
#include "device/sdk/inside_callback.h"
#include "device/sdk/returned_block.h"
#include "protocol/base/log.h"
#include "protocol/base/plain_text.h"

struct tributary_device {
  std::unique_ptr<tributary::EmbeddedDevice> device;
  tributary::CallsUnderWay calls = {};
};

namespace tributary {
namespace {

// Writes what a program of this or an older version asks for; one that gives less room gets no sentence.
int Answer(tributary_error* error, int code, std::string_view message) {
  constexpr size_t kMessage = offsetof(tributary_error, message);
  if (!error || error->struct_size <= kMessage) return code;
  const size_t room = std::min<size_t>(error->struct_size, sizeof(tributary_error)) - kMessage;
  error->code = code;
  const std::string plain = PlainText(message);
  const std::string_view cut = Beginning(plain, room - 1);
  std::memcpy(error->message, cut.data(), cut.size());
  error->message[cut.size()] = '\0';
  return code;
}

int Answer(tributary_error* error, const Error& failure) {
  return Answer(error, static_cast<int>(failure.code), failure.message);
}

// Until a program asks for the log, nobody gets it.
void KeepQuietAtFirst() { [[maybe_unused]] static const bool quiet = StartLogTo({}, LogLevel::kError).has_value(); }

// Every function ends here: what it answers, and nothing that is thrown.
template <class Act>
int Run(tributary_error* error, Act act) noexcept {
  try {
    KeepQuietAtFirst();
    const Status done = act();
    return done ? Answer(error, TRIBUTARY_OK, "") : Answer(error, done.error());
  } catch (const std::bad_alloc&) {
    return Answer(error, TRIBUTARY_TOO_LARGE, "this process has no memory for it; nothing was done");
  } catch (const std::exception& thrown) {
    return Answer(error, TRIBUTARY_IO, thrown.what());
  } catch (...) {
    return Answer(error, TRIBUTARY_IO, "something unknown was thrown");
  }
}

struct EndOfCall {
  void operator()(CallsUnderWay* calls) const { calls->End(); }
};

template <class Act>
int RunOn(tributary_device* device, tributary_error* error, Act act) noexcept {
  return Run(error, [&]() -> Status {
    if (!device) return Fail(Code::kInvalidArgument, "device is NULL");
    if (!device->calls.Begin(InsideCallback::Of(device->device.get())))
      return Fail(Code::kConflict, "another thread closes the device; nothing was done");
    const std::unique_ptr<CallsUnderWay, EndOfCall> under_way(&device->calls);
    return act(*device->device);
  });
}

Status CheckPlace(const void* out, std::string_view what) {
  return out ? Status() : Fail(Code::kInvalidArgument, "{} is NULL", what);
}

std::optional<Code> KnownCode(int code) {
  return code > 0 && code <= UINT16_MAX ? CodeByNumber(static_cast<uint16_t>(code)) : std::nullopt;
}

const char* Explanation(Code code) {
  static const auto& texts = *[] {
    auto* all = new std::map<Code, std::string>;
    for (const CodeEntry& entry : AllCodes()) (*all)[entry.code] = fmt::format("{} {}", entry.sentence, entry.remedy);
    return all;
  }();
  return texts.at(code).c_str();
}

// A code that a callback of an application returned.
Error FromApplication(int code, std::string_view collection, std::string_view what) {
  const auto known = KnownCode(code);
  return {known.value_or(Code::kIo), fmt::format("the program's examples of '{}': {} answered {}", collection, what,
                                                 known ? std::string(Name(*known)) : std::to_string(code))};
}

// An application's iterator. The callbacks, their user and the collection's fields outlive it.
class HostIterator final : public HostedExamples::Iterator {
 public:
  HostIterator(const EmbeddedDevice& device, const tributary_source& source, const CollectionSettings& settings)
      : device_(device), source_(source), settings_(settings) {}
  ~HostIterator() override {
    const InsideCallback inside(&device_);
    if (open_) source_.close(source_.user, iterator_);
  }
  Status Open() {
    const InsideCallback inside(&device_);
    const int code = source_.open(source_.user, &iterator_);
    open_ = code == TRIBUTARY_OK;
    return open_ ? Status() : Fail(FromApplication(code, settings_.name, "open"));
  }
  Result<bool> Next(NewExample& example) override {
    tributary_example given{};
    given.struct_size = sizeof(given);
    int code = TRIBUTARY_OK;
    {
      const InsideCallback inside(&device_);
      code = source_.next(source_.user, iterator_, &given);
    }
    if (code == TRIBUTARY_END) return false;
    if (code != TRIBUTARY_OK) return Fail(FromApplication(code, settings_.name, "next"));
    ASSIGN_OR_RETURN(example, TakeExample(settings_.fields, &given));
    return true;
  }

 private:
  const EmbeddedDevice& device_;
  const tributary_source source_;
  const CollectionSettings& settings_;
  void* iterator_ = nullptr;
  bool open_ = false;
};

using Removal = Result<uint64_t> (*)(CollectionStore& store, const std::string& collection, const std::string& which);

int RunRemoval(tributary_device* device, const char* collection, const char* which, uint64_t* removed,
               tributary_error* error, Removal remove) {
  if (removed) *removed = 0;
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const std::string name, TakeText(collection, "collection"));
    ASSIGN_OR_RETURN(const std::string value, TakeText(which, "id or group"));
    ASSIGN_OR_RETURN(const uint64_t count,
                     on.store().Use([&](CollectionStore& store) { return remove(store, name, value); }));
    if (removed) *removed = count;
    return {};
  });
}

}  // namespace
}  // namespace tributary

using namespace tributary;

extern "C" {

const char* tributary_version(void) { return TRIBUTARY_VERSION; }

const char* tributary_code_name(int code) {
  if (code == TRIBUTARY_OK) return "ok";
  const auto known = KnownCode(code);
  return known ? Name(*known).data() : "unknown";
}

const char* tributary_code_explain(int code) {
  if (code == TRIBUTARY_OK) return "All went well.";
  const auto known = KnownCode(code);
  return known ? Explanation(*known) : "This version of the library does not know this code.";
}

void tributary_free(void* returned) { std::free(returned); }

int tributary_set_log(tributary_log_function log, void* user, int level, tributary_error* error) {
  return Run(error, [&]() -> Status {
    if (level < TRIBUTARY_LOG_DEBUG || level > TRIBUTARY_LOG_ERROR)
      return Fail(Code::kInvalidArgument, "the log level {} is none of tributary.h", level);
    LogTaker take;
    if (log) {
      take = [log, user](LogLevel of, const std::string& line) {
        const InsideCallback inside(nullptr);
        log(user, static_cast<int>(of) + TRIBUTARY_LOG_DEBUG, line.c_str());
      };
    }
    return StartLogTo(std::move(take), static_cast<LogLevel>(level - TRIBUTARY_LOG_DEBUG));
  });
}

int tributary_open(const tributary_options* options, tributary_device** device, tributary_error* error) {
  if (device) *device = nullptr;
  return Run(error, [&]() -> Status {
    RETURN_IF_ERROR(CheckPlace(device, "device"));
    ASSIGN_OR_RETURN(EmbeddedDevice::Options taken, TakeOptions(options));
    ASSIGN_OR_RETURN(auto opened, EmbeddedDevice::Open(std::move(taken)));
    *device = new tributary_device{std::move(opened)};
    return {};
  });
}

int tributary_close(tributary_device* device, tributary_error* error) {
  return Run(error, [&]() -> Status {
    if (!device) return {};
    if (InsideCallback::Of(device->device.get())) {
      return Fail(
          Code::kConflict,
          "a device cannot be closed inside its own callback; it is open as before: stop it there, and close it after "
          "the callback");
    }
    device->calls.Refuse();
    device->device->Stop();
    device->calls.Await();
    delete device;
    return {};
  });
}

int tributary_enrol(tributary_device* device, const char* invitation, const char* id, uint32_t timeout_ms,
                    tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const std::string file, TakeText(invitation, "invitation"));
    ASSIGN_OR_RETURN(const std::string wanted, TakeTextIfAny(id, "id"));
    return on.Enrol(file, wanted, Millis(timeout_ms));
  });
}

int tributary_set_events(tributary_device* device, void (*event)(void* user, const tributary_event* event), void* user,
                         tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    if (!event) return on.Listen({});
    return on.Listen([event, user](const DeviceEvent& told) {
      tributary_event given{};
      given.struct_size = sizeof(given);
      given.kind = static_cast<int32_t>(told.kind);
      given.code = told.code ? static_cast<int32_t>(*told.code) : TRIBUTARY_OK;
      given.version = Number(told.version);
      given.task = told.task.text().c_str();
      given.text = told.text.c_str();
      event(user, &given);
    });
  });
}

int tributary_set_conditions(tributary_device* device, int (*may_train)(void* user), void* user,
                             tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    if (!may_train) return on.AskBeforeTraining({});
    return on.AskBeforeTraining([may_train, user] { return may_train(user) != 0; });
  });
}

int tributary_start(tributary_device* device, tributary_error* error) {
  return RunOn(device, error, [](EmbeddedDevice& on) { return on.Start(); });
}

int tributary_tick(tributary_device* device, uint32_t budget_ms, uint32_t* next_ms, tributary_error* error) {
  if (next_ms) *next_ms = 0;
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const Millis next, on.Tick(Millis(budget_ms)));
    if (next_ms) *next_ms = static_cast<uint32_t>(std::clamp<int64_t>(next.count(), 0, UINT32_MAX));
    return {};
  });
}

int tributary_stop(tributary_device* device, tributary_error* error) {
  return RunOn(device, error, [](EmbeddedDevice& on) -> Status {
    on.Stop();
    return {};
  });
}

int tributary_status(tributary_device* device, char** json, tributary_error* error) {
  if (json) *json = nullptr;
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    RETURN_IF_ERROR(CheckPlace(json, "json"));
    ASSIGN_OR_RETURN(const std::string text, on.Describe());
    *json = ReturnedText(text);
    return {};
  });
}

int tributary_create(tributary_device* device, const tributary_collection* collection, tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const CollectionSettings settings, TakeCollection(collection));
    return on.Create(settings);
  });
}

int tributary_add(tributary_device* device, const char* collection, const tributary_example* examples, size_t count,
                  tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const std::string name, TakeText(collection, "collection"));
    RETURN_IF_ERROR(TakeList(examples, count, "examples"));
    return on.store().Use([&](CollectionStore& store) -> Status {
      ASSIGN_OR_RETURN(ExampleWriter writer, store.Write(name, on.clock().Now()));
      const char* at = reinterpret_cast<const char*>(examples);
      for (size_t i = 0; i < count; ++i, at += examples->struct_size) {
        const auto* example = reinterpret_cast<const tributary_example*>(at);
        if (example->struct_size != examples->struct_size)
          return Fail(Code::kInvalidArgument, "the examples of one call have different sizes in struct_size");
        ASSIGN_OR_RETURN(const NewExample taken, TakeExample(writer.settings().fields, example));
        RETURN_IF_ERROR(writer.Put(taken));
      }
      return writer.Commit();
    });
  });
}

int tributary_remove(tributary_device* device, const char* collection, const char* id, uint64_t* removed,
                     tributary_error* error) {
  return RunRemoval(device, collection, id, removed, error,
                    [](CollectionStore& store, const std::string& name, const std::string& which) {
                      return store.Remove(name, which);
                    });
}

int tributary_remove_group(tributary_device* device, const char* collection, const char* group, uint64_t* removed,
                           tributary_error* error) {
  return RunRemoval(device, collection, group, removed, error,
                    [](CollectionStore& store, const std::string& name, const std::string& which) {
                      return store.RemoveGroup(name, which);
                    });
}

int tributary_clear(tributary_device* device, const char* collection, uint64_t* removed, tributary_error* error) {
  return RunRemoval(
      device, collection, "", removed, error,
      [](CollectionStore& store, const std::string& name, const std::string&) { return store.Clear(name); });
}

int tributary_drop(tributary_device* device, const char* collection, uint64_t* removed, tributary_error* error) {
  return RunRemoval(
      device, collection, "", removed, error,
      [](CollectionStore& store, const std::string& name, const std::string&) { return store.Drop(name); });
}

int tributary_count(tributary_device* device, const char* collection, uint64_t* examples, tributary_error* error) {
  if (examples) *examples = 0;
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    RETURN_IF_ERROR(CheckPlace(examples, "examples"));
    ASSIGN_OR_RETURN(const std::string name, TakeText(collection, "collection"));
    ASSIGN_OR_RETURN(const CollectionInfo info,
                     on.store().Use([&](CollectionStore& store) { return store.Find(name); }));
    *examples = info.examples;
    return {};
  });
}

int tributary_list(tributary_device* device, tributary_collection_list** list, tributary_error* error) {
  if (list) *list = nullptr;
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    RETURN_IF_ERROR(CheckPlace(list, "list"));
    ASSIGN_OR_RETURN(const auto infos, on.store().Use([](CollectionStore& store) { return store.List(); }));
    *list = ReturnedList(infos);
    return {};
  });
}

int tributary_host(tributary_device* device, const tributary_source* source, tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const tributary_source taken, TakeStruct(source, "source"));
    if (!taken.open || !taken.next || !taken.close)
      return Fail(Code::kInvalidArgument, "source needs all of open, next and close");
    const auto settings = std::make_shared<CollectionSettings>();
    ASSIGN_OR_RETURN(settings->name, TakeText(taken.collection, "source.collection"));
    ASSIGN_OR_RETURN(settings->fields, TakeFields(taken.fields, taken.field_count));
    settings->held_out_share = HeldOutShareOf(taken.held_out_share);
    const auto open = [&on, taken, settings]() -> Result<std::unique_ptr<HostedExamples::Iterator>> {
      auto iterator = std::make_unique<HostIterator>(on, taken, *settings);
      RETURN_IF_ERROR(iterator->Open());
      return iterator;
    };
    return on.Host({*settings, open});
  });
}

int tributary_host_changed(tributary_device* device, const char* collection, tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const std::string name, TakeText(collection, "collection"));
    return on.hosted().NoteChange(name);
  });
}

int tributary_host_erased(tributary_device* device, const char* collection, tributary_error* error) {
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    ASSIGN_OR_RETURN(const std::string name, TakeText(collection, "collection"));
    return on.hosted().NoteErasure(name);
  });
}

int tributary_predict(tributary_device* device, const char* task, const tributary_tensor* inputs, size_t count,
                      tributary_prediction** prediction, tributary_error* error) {
  if (prediction) *prediction = nullptr;
  return RunOn(device, error, [&](EmbeddedDevice& on) -> Status {
    RETURN_IF_ERROR(CheckPlace(prediction, "prediction"));
    ASSIGN_OR_RETURN(const std::string name, TakeText(task, "task"));
    const auto id = TaskId::Parse(name);
    if (!id) return Fail(Code::kInvalidArgument, "task: {}", id.error().message);
    ASSIGN_OR_RETURN(ExampleSet request, TakeRequest(inputs, count));
    ASSIGN_OR_RETURN(const Prediction predicted, on.Predict(*id, std::move(request)));
    *prediction = ReturnedPrediction(predicted);
    return {};
  });
}

}  // extern "C"
