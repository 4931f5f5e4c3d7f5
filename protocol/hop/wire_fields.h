#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "protocol/base/limits.h"
#include "protocol/base/plain_text.h"
#include "protocol/hop/messages.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/hop.capnp.h"

// The fields of a message are listed once, and the list serves for writing and for reading. Between messages.cc and
// gateway_state_wire.h only: shows Cap'n Proto's types.
//
//   void Fields(Of<Chunk>, auto& io, auto& m) {
//     io.Id(HOP_FIELD(Upload), m.upload);
//     io.Number(HOP_FIELD(Index), m.index);
//   }
//
// `io` is a FieldWriter (then `m` is const) or a FieldReader. A FieldReader keeps the first error.
namespace tributary::hop {

template <class Message>
struct Of {};

// How a field of the schema is set, made and got.
template <class Set, class Init, class Get>
struct Field {
  Set set;
  Init init;
  Get get;
};
template <class Set, class Init, class Get>
Field(Set, Init, Get) -> Field<Set, Init, Get>;

#define HOP_FIELD(Name)                                                                                             \
  ::tributary::hop::Field {                                                                                         \
    [](auto to, auto value) { to.set##Name(value); }, [](auto to, auto... size) { return to.init##Name(size...); }, \
        [](auto from) { return from.get##Name(); }                                                                  \
  }

template <class Builder>
class FieldWriter {
 public:
  static constexpr bool kWrites = true;
  explicit FieldWriter(Builder to) : to_(to) {}
  Builder at() { return to_; }

  template <class Value>
  void Number(auto field, Value value) {
    if constexpr (std::is_enum_v<Value>) {
      field.set(to_, static_cast<std::underlying_type_t<Value>>(value));
    } else {
      field.set(to_, value);
    }
  }
  void Duration(auto field, Millis value) { field.set(to_, static_cast<uint32_t>(value.count())); }
  void ErrorCode(auto field, Code code) { field.set(to_, static_cast<uint16_t>(code)); }
  // At most limits::kCounter; what is over it is written as the limit.
  void Counter(auto field, auto value) {
    field.set(to_, std::min(static_cast<uint64_t>(std::max<decltype(value)>(0, value)), limits::kCounter));
  }
  void Data(auto field, const Bytes& value, size_t /*limit*/, const char* /*what*/) {
    if (!value.empty()) field.set(to_, wire::ToData(value));
  }
  void Exactly(auto field, const Bytes& value, size_t size, const char* what) { Data(field, value, size, what); }
  void ExactlyOrNone(auto field, const Bytes& value, size_t size, const char* what) { Data(field, value, size, what); }
  // A text that does not print (protocol/base/plain_text.h) is cleaned when it is written and refused when it is read.
  void Text(auto field, const std::string& value, size_t /*limit*/, const char* /*what*/) {
    field.set(to_, wire::ToText(PlainText(value)));
  }
  // As Text, but too long a text is cut when it is written.
  void CutText(auto field, const std::string& value, size_t limit, const char* what) {
    Text(field, std::string(Beginning(value, limit)), limit, what);
  }
  // Of 16 or 32 bytes.
  void Id(auto field, const auto& id) { field.set(to_, wire::ToData(id.view())); }
  void IdOrNone(auto field, const auto& id) {
    if (id) Id(field, *id);
  }
  void Name(auto field, const DeviceId& id) { field.set(to_, wire::ToText(id.text())); }
  void NameOrNone(auto field, const DeviceId& id) { Name(field, id); }
  void Chain(auto field, const std::vector<Bytes>& chain) {
    if (chain.empty()) return;
    auto list = field.init(to_, static_cast<unsigned>(chain.size()));
    for (unsigned i = 0; i < chain.size(); ++i) list.set(i, wire::ToData(chain[i]));
  }
  // The part behind the limit is cut: a path that long is no tree that anybody built.
  void Path(auto field, const std::vector<DeviceId>& path) {
    auto list = field.init(to_, static_cast<unsigned>(std::min(path.size(), limits::kPathHops)));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, wire::ToText(path[i].text()));
  }
  template <class Value>
  void Struct(auto field, const Value& value) {
    FieldWriter<decltype(field.init(to_))> inner(field.init(to_));
    Fields(Of<Value>{}, inner, value);
  }
  // The part behind the limit is cut.
  template <class Value>
  void Structs(auto field, const std::vector<Value>& values, size_t limit, const char* /*what*/) {
    auto list = field.init(to_, static_cast<unsigned>(std::min(values.size(), limit)));
    for (unsigned i = 0; i < list.size(); ++i) {
      FieldWriter<decltype(list[i])> inner(list[i]);
      Fields(Of<Value>{}, inner, values[i]);
    }
  }
  // Only a reader has doubts.
  void Check(bool /*fine*/, const char* /*what*/) {}

 private:
  Builder to_;
};

template <class Reader>
class FieldReader {
 public:
  static constexpr bool kWrites = false;
  explicit FieldReader(Reader from) : from_(from) {}
  Reader at() { return from_; }
  const Status& status() const { return status_; }
  // Only the first error is kept.
  void Note(Status status) {
    if (status_ && !status) status_ = std::move(status);
  }
  void Check(bool fine, const char* what) {
    if (!fine) Note(Fail(Code::kMalformed, "{}", what));
  }
  void Number(auto field, auto& value) { value = static_cast<std::decay_t<decltype(value)>>(field.get(from_)); }
  void Counter(auto field, auto& value) {
    Number(field, value);
    if (field.get(from_) > limits::kCounter) Note(Fail(Code::kMalformed, "a number over 2^53"));
  }
  void Duration(auto field, Millis& value) { value = Millis(field.get(from_)); }
  void ErrorCode(auto field, Code& code) {
    const auto known = CodeByNumber(field.get(from_));
    if (!known) return Note(Fail(Code::kMalformed, "unknown code {}", field.get(from_)));
    code = *known;
  }
  void Data(auto field, Bytes& value, size_t limit, const char* what) {
    const ByteView data = wire::View(field.get(from_));
    if (data.size() > limit) return Note(Fail(Code::kTooLarge, "{} over {} bytes", what, limit));
    value = ToBytes(data);
  }
  void Exactly(auto field, Bytes& value, size_t size, const char* what) {
    const ByteView data = wire::View(field.get(from_));
    if (data.size() != size) return Note(Fail(Code::kMalformed, "{} is not {} bytes", what, size));
    value = ToBytes(data);
  }
  void ExactlyOrNone(auto field, Bytes& value, size_t size, const char* what) {
    if (field.get(from_).size() > 0) Exactly(field, value, size, what);
  }
  void Text(auto field, std::string& value, size_t limit, const char* what) {
    const std::string_view text = wire::View(field.get(from_));
    if (text.size() > limit) return Note(Fail(Code::kTooLarge, "{} over {} bytes", what, limit));
    Note(CheckPlainText(text, what));
    value = text;
  }
  void CutText(auto field, std::string& value, size_t limit, const char* what) { Text(field, value, limit, what); }
  template <class Value>
  void Id(auto field, Value& value) {
    TakeId(Value::FromBytes(wire::View(field.get(from_))), value);
  }
  template <class Value>
  void IdOrNone(auto field, std::optional<Value>& value) {
    if (field.get(from_).size() > 0) Id(field, value.emplace());
  }
  void Name(auto field, DeviceId& value) { TakeId(DeviceId::Parse(wire::View(field.get(from_))), value); }
  void NameOrNone(auto field, DeviceId& value) {
    if (field.get(from_).size() > 0) Name(field, value);
  }
  void Chain(auto field, std::vector<Bytes>& chain) {
    const auto list = field.get(from_);
    if (list.size() > limits::kCertificateChain) {
      return Note(Fail(Code::kTooLarge, "a chain of {} certificates", list.size()));
    }
    for (const auto bytes : list) {
      if (bytes.size() > limits::kCertificateBytes) return Note(Fail(Code::kTooLarge, "a certificate over its limit"));
      chain.push_back(ToBytes(wire::View(bytes)));
    }
  }
  void Path(auto field, std::vector<DeviceId>& path) {
    const auto list = field.get(from_);
    if (list.size() > limits::kPathHops) return Note(Fail(Code::kTooLarge, "a path of {} gateways", list.size()));
    for (const auto name : list) TakeId(DeviceId::Parse(wire::View(name)), path.emplace_back());
  }
  template <class Value>
  void Struct(auto field, Value& value) {
    FieldReader<decltype(field.get(from_))> inner(field.get(from_));
    Fields(Of<Value>{}, inner, value);
    Note(inner.status());
  }
  template <class Value>
  void Structs(auto field, std::vector<Value>& values, size_t limit, const char* what) {
    const auto list = field.get(from_);
    if (list.size() > limit) return Note(Fail(Code::kTooLarge, "{} {}", list.size(), what));
    for (const auto from : list) {
      FieldReader<std::remove_const_t<decltype(from)>> inner(from);
      Fields(Of<Value>{}, inner, values.emplace_back());
      Note(inner.status());
    }
  }

 private:
  template <class Value>
  void TakeId(Result<Value> id, Value& value) {
    if (!id) return Note(Fail(std::move(id).error()));
    value = std::move(*id);
  }

  Reader from_;
  Status status_;
};

}  // namespace tributary::hop
