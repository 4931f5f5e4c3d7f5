#include "protocol/payload/device_state.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <tuple>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"

namespace tributary {
namespace {

bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

std::string Printable(std::string_view text) {
  std::string line(text.substr(0, limits::kSentenceBytes));
  std::ranges::replace_if(
      line, [](char c) { return !IsPrintable(c); }, '?');
  return line;
}

void Cut(auto& list, size_t limit) {
  while (list.size() > limit) list.erase(std::prev(list.end()));
}

void Write(const DeviceState& from, schema::DeviceState::Builder to) {
  to.setSequence(from.sequence);
  to.setBoots(from.boots);
  to.setRootVersion(from.root_version);
  to.setPublicationNumber(from.publication_number);
  to.setTimeFloorUnixMillis(from.time_floor.unix_millis);
  to.setWithheld(wire::ToText(Printable(from.withheld)));
  auto installed = to.initInstalled(static_cast<unsigned>(from.installed.size()));
  for (unsigned i = 0; const auto& [task, version] : from.installed) {
    auto one = installed[i++];
    one.setTask(wire::ToText(task.text()));
    one.setVersion(Number(version.version));
    one.setWeights(wire::ToData(version.weights.view()));
  }
  auto counters = to.initCounters(static_cast<unsigned>(from.counters.size()));
  for (unsigned i = 0; const auto& [name, value] : from.counters) {
    auto one = counters[i++];
    one.setName(wire::ToText(name));
    one.setValue(value);
  }
  auto rejections = to.initRejections(static_cast<unsigned>(from.rejections.size()));
  for (unsigned i = 0; const auto& [code, rejection] : from.rejections) {
    auto one = rejections[i++];
    one.setCode(static_cast<uint16_t>(code));
    one.setCount(rejection.count);
    one.setLastSentence(wire::ToText(Printable(rejection.last_sentence)));
    one.setLastUnixMillis(rejection.last.unix_millis);
  }
  if (from.failures.empty()) return;
  auto failures = to.initFailures(static_cast<unsigned>(from.failures.size()));
  for (unsigned i = 0; const auto& [task, failure] : from.failures) {
    auto one = failures[i++];
    one.setTask(wire::ToText(task.text()));
    one.setCode(static_cast<uint16_t>(failure.code));
    one.setVersion(Number(failure.version));
    one.setCount(failure.count);
    one.setSentence(wire::ToText(Printable(failure.sentence)));
    one.setLastUnixMillis(failure.last.unix_millis);
    one.setLasting(failure.lasting);
  }
}

Result<uint64_t> Count(uint64_t number, std::string_view what) {
  if (number <= limits::kCounter) return number;
  return Fail(Code::kMalformed, "{} {} cannot have been counted", what, number);
}

Result<WallTime> Time(int64_t unix_millis, std::string_view what) {
  if (limits::IsTime(unix_millis)) return WallTime{unix_millis};
  return Fail(Code::kMalformed, "{} does not lie in the years 1970 to 9999", what);
}

Status CheckVersion(const TaskId& task, uint64_t version) {
  if (version >= 1 && version <= limits::kCounter) return {};
  return Fail(Code::kMalformed, "version {} of {} is none", version, task.text());
}

Result<std::string> Sentence(std::string_view text) {
  if (text.size() > limits::kSentenceBytes)
    return Fail(Code::kTooLarge, "a sentence of {} bytes is over the limit", text.size());
  if (!std::ranges::all_of(text, IsPrintable)) return Fail(Code::kMalformed, "a sentence is not printable ASCII");
  return std::string(text);
}

Status CheckLength(size_t length, size_t limit, std::string_view what) {
  if (length <= limit) return {};
  return Fail(Code::kTooLarge, "{} {} are over the limit", length, what);
}

tl::unexpected<Error> FailOrder(std::string_view what) {
  return Fail(Code::kMalformed, "{} are not in order, each once", what);
}

Status ReadInstalled(schema::DeviceState::Reader from, DeviceState& to) {
  const auto list = from.getInstalled();
  RETURN_IF_ERROR(CheckLength(list.size(), limits::kTasks, "tasks"));
  for (const auto one : list) {
    ASSIGN_OR_RETURN(const TaskId task, TaskId::Parse(wire::View(one.getTask())));
    if (!to.installed.empty() && task <= to.installed.rbegin()->first) return FailOrder("tasks");
    RETURN_IF_ERROR(CheckVersion(task, one.getVersion()));
    ASSIGN_OR_RETURN(const Digest weights, Digest::FromBytes(wire::View(one.getWeights())));
    to.installed.emplace(task, DeviceState::Installed{ModelVersion{one.getVersion()}, weights});
  }
  return {};
}

Status ReadCounters(schema::DeviceState::Reader from, DeviceState& to) {
  const auto list = from.getCounters();
  RETURN_IF_ERROR(CheckLength(list.size(), limits::kDeviceStateCounters, "counters"));
  for (const auto one : list) {
    const std::string name(wire::View(one.getName()));
    RETURN_IF_ERROR(CheckName(name, "counter"));
    if (!to.counters.empty() && name <= to.counters.rbegin()->first) return FailOrder("counters");
    ASSIGN_OR_RETURN(to.counters[name], Count(one.getValue(), name));
  }
  return {};
}

Status ReadRejections(schema::DeviceState::Reader from, DeviceState& to) {
  const auto list = from.getRejections();
  RETURN_IF_ERROR(CheckLength(list.size(), limits::kDeviceStateRejections, "rejections"));
  uint16_t last = 0;
  for (const auto one : list) {
    if (one.getCode() <= last) return FailOrder("rejections");
    last = one.getCode();
    DeviceState::Rejections rejections;
    ASSIGN_OR_RETURN(rejections.count, Count(one.getCount(), "rejections"));
    ASSIGN_OR_RETURN(rejections.last_sentence, Sentence(wire::View(one.getLastSentence())));
    ASSIGN_OR_RETURN(rejections.last, Time(one.getLastUnixMillis(), "a rejection"));
    if (const auto code = CodeByNumber(one.getCode())) to.rejections.emplace(*code, std::move(rejections));
  }
  return {};
}

Status ReadFailures(schema::DeviceState::Reader from, DeviceState& to) {
  if (!from.hasFailures()) return {};
  const auto list = from.getFailures();
  if (list.size() == 0) return Fail(Code::kMalformed, "an empty list of failures stands for none");
  RETURN_IF_ERROR(CheckLength(list.size(), limits::kDeviceStateFailures, "failures"));
  std::optional<TaskId> before;
  for (const auto one : list) {
    ASSIGN_OR_RETURN(TaskId task, TaskId::Parse(wire::View(one.getTask())));
    if (before && task <= *before) return FailOrder("failures");
    before = task;
    RETURN_IF_ERROR(CheckVersion(task, one.getVersion()));
    DeviceState::Failure failure;
    failure.version = ModelVersion{one.getVersion()};
    ASSIGN_OR_RETURN(failure.count, Count(one.getCount(), "failures"));
    if (failure.count == 0) return Fail(Code::kMalformed, "a failure of {} happened 0 times", task.text());
    ASSIGN_OR_RETURN(failure.sentence, Sentence(wire::View(one.getSentence())));
    ASSIGN_OR_RETURN(failure.last, Time(one.getLastUnixMillis(), "a failure"));
    failure.lasting = one.getLasting();
    const auto code = CodeByNumber(one.getCode());
    if (!code) continue;
    failure.code = *code;
    to.failures.emplace(std::move(task), std::move(failure));
  }
  return {};
}

Result<DeviceState> Read(schema::DeviceState::Reader from) {
  DeviceState to;
  ASSIGN_OR_RETURN(to.sequence, Count(from.getSequence(), "sequence"));
  if (to.sequence == 0) return Fail(Code::kMalformed, "a device state's sequence begins at 1");
  ASSIGN_OR_RETURN(to.boots, Count(from.getBoots(), "boots"));
  ASSIGN_OR_RETURN(to.root_version, Count(from.getRootVersion(), "root version"));
  ASSIGN_OR_RETURN(to.publication_number, Count(from.getPublicationNumber(), "publication number"));
  ASSIGN_OR_RETURN(to.time_floor, Time(from.getTimeFloorUnixMillis(), "the time floor"));
  ASSIGN_OR_RETURN(to.withheld, Sentence(wire::View(from.getWithheld())));
  RETURN_IF_ERROR(ReadInstalled(from, to));
  RETURN_IF_ERROR(ReadCounters(from, to));
  RETURN_IF_ERROR(ReadRejections(from, to));
  RETURN_IF_ERROR(ReadFailures(from, to));
  return to;
}

Status NotLess(uint64_t before, uint64_t now, std::string_view what) {
  if (now >= before) return {};
  return Fail(Code::kReportRolledBack, "{} went back from {} to {}", what, before, now);
}

Status CheckFollows(const DeviceState& before, const DeviceState& next) {
  RETURN_IF_ERROR(NotLess(before.boots, next.boots, "boots"));
  if (std::tie(next.root_version, next.publication_number) < std::tie(before.root_version, before.publication_number)) {
    return Fail(Code::kReportRolledBack, "the publication went back from {}/{} to {}/{}", before.root_version,
                before.publication_number, next.root_version, next.publication_number);
  }
  if (next.time_floor < before.time_floor) return Fail(Code::kReportRolledBack, "the time floor went back");
  for (const auto& [name, value] : before.counters) {
    const auto now = next.counters.find(name);
    RETURN_IF_ERROR(NotLess(value, now == next.counters.end() ? 0 : now->second, name));
  }
  for (const auto& [code, rejections] : before.rejections) {
    const auto now = next.rejections.find(code);
    RETURN_IF_ERROR(NotLess(rejections.count, now == next.rejections.end() ? 0 : now->second.count, Name(code)));
  }
  return {};
}

}  // namespace

Bytes EncodeDeviceState(const DeviceState& state) {
  // The numbers of an earlier process come from a file, which may be damaged.
  DeviceState cut = state;
  Cut(cut.installed, limits::kTasks);
  Cut(cut.counters, limits::kDeviceStateCounters);
  Cut(cut.rejections, limits::kDeviceStateRejections);
  Cut(cut.failures, limits::kDeviceStateFailures);
  return wire::EncodeCanonical<schema::DeviceState>([&](schema::DeviceState::Builder to) { Write(cut, to); });
}

Result<DeviceState> DecodeDeviceState(ByteView bytes) {
  const auto read = [](schema::DeviceState::Reader from) { return Read(from); };
  return wire::DecodeCanonical<schema::DeviceState>(bytes, "device state", read, limits::kRecordBytes);
}

Result<DeviceStateOrder> OrderOf(const DeviceState& kept, const DeviceState& came) {
  if (came.sequence == kept.sequence)
    return Fail(Code::kReportRolledBack, "sequence {} was used before", came.sequence);
  const bool late = came.sequence < kept.sequence;
  RETURN_IF_ERROR(late ? CheckFollows(came, kept) : CheckFollows(kept, came));
  return late ? DeviceStateOrder::kLate : DeviceStateOrder::kNext;
}

}  // namespace tributary
