#include "protocol/catalogue/task_wire.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

#include <capnp/dynamic.h>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"

namespace tributary {
namespace {

constexpr size_t kMostEntries = 64;

// learning_rate: learningRate.
std::string SchemaName(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool begins = name[i] == '_' && i + 1 < name.size();
    out += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(name[++i]))) : name[i];
  }
  return out;
}

// The field's own place in the schema, if it has one.
std::optional<capnp::StructSchema::Field> PlaceOf(const Field& field) {
  KJ_IF_MAYBE (place, capnp::Schema::from<schema::TrainingPlan>().findFieldByName(SchemaName(field.name).c_str())) {
    return *place;
  }
  return std::nullopt;
}

capnp::DynamicValue::Reader ToPlace(const Field& field) {
  if (const Choice* choice = std::get_if<Choice>(&field.place)) return uint64_t{*choice->number};
  const FieldValue value = field.Value();
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* whole = std::get_if<int64_t>(&value)) return *whole;
  if (const auto* natural = std::get_if<uint64_t>(&value)) return *natural;
  const auto* real = std::get_if<double>(&value);
  TRIBUTARY_CHECK(real) << field.name;
  return *real;
}

Status FromPlace(const Field& field, const capnp::DynamicValue::Reader& value) {
  if (std::holds_alternative<Choice>(field.place)) {
    const auto number = value.as<uint64_t>();
    return field.Set(number < field.names.size() ? std::string(field.names[number]) : std::to_string(number));
  }
  switch (value.getType()) {
    case capnp::DynamicValue::BOOL:
      return field.Set(value.as<bool>());
    case capnp::DynamicValue::INT:
      return field.Set(value.as<int64_t>());
    case capnp::DynamicValue::UINT:
      return field.Set(value.as<uint64_t>());
    case capnp::DynamicValue::FLOAT:
      return field.Set(value.as<double>());
    default:
      return field.Set(FieldValue());
  }
}

void WriteEntry(const Field& field, schema::PlanField::Builder to) {
  to.setName({field.name.data(), field.name.size()});
  to.setIgnorable(field.ignorable);
  struct {
    schema::PlanField::Value::Builder to;
    void operator()(bool flag) { to.setFlag(flag); }
    void operator()(int64_t whole) { to.setWhole(whole); }
    void operator()(uint64_t natural) { to.setNatural(natural); }
    void operator()(double real) { to.setReal(real); }
    void operator()(const std::string& text) { to.setText(wire::ToText(text)); }
    void operator()(std::monostate) { TRIBUTARY_CHECK(false) << "no value"; }
    void operator()(const std::vector<std::string>& list) {
      auto texts = to.initList(static_cast<unsigned>(list.size()));
      for (unsigned i = 0; i < list.size(); ++i) texts.set(i, wire::ToText(list[i]));
    }
  } write{to.getValue()};
  std::visit(write, field.Value());
}

// A longer list is of no field.
FieldValue ListOf(capnp::List<capnp::Text>::Reader from) {
  if (from.size() > kMostEntries) return std::monostate();
  std::vector<std::string> list;
  for (const auto text : from) list.emplace_back(wire::View(text));
  return list;
}

FieldValue EntryValue(schema::PlanField::Value::Reader from) {
  switch (from.which()) {
    case schema::PlanField::Value::FLAG:
      return from.getFlag();
    case schema::PlanField::Value::WHOLE:
      return from.getWhole();
    case schema::PlanField::Value::NATURAL:
      return from.getNatural();
    case schema::PlanField::Value::REAL:
      return from.getReal();
    case schema::PlanField::Value::TEXT:
      return std::string(wire::View(from.getText()));
    case schema::PlanField::Value::LIST:
      return ListOf(from.getList());
  }
  return std::monostate();
}

Status Named(std::string_view name, const Status& set) {
  if (set) return {};
  return Fail(Code::kMalformed, "{} {}", name, set.error().message);
}

Status ReadEntry(schema::PlanField::Reader from, std::span<const Field> fields) {
  const std::string_view name = wire::View(from.getName());
  const auto field = std::ranges::find(fields, name, &Field::name);
  if (field != fields.end() && !PlaceOf(*field)) return Named(name, field->Set(EntryValue(from.getValue())));
  if (field != fields.end()) return Fail(Code::kMalformed, "{} stands in two places", name);
  if (from.getIgnorable()) return {};
  return Fail(Code::kVersionUnsupported, "this plan needs a newer device: field '{}' is not known here",
              name.substr(0, 80));
}

}  // namespace

void WritePlan(std::span<const Field> fields, std::span<const Field> defaults, schema::TrainingPlan::Builder to) {
  std::vector<const Field*> more;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (const auto place = PlaceOf(fields[i])) {
      capnp::DynamicStruct::Builder(to).set(*place, ToPlace(fields[i]));
    } else if (fields[i].Value() != defaults[i].Value()) {
      more.push_back(&fields[i]);
    }
  }
  if (more.empty()) return;
  auto entries = to.initMore(static_cast<unsigned>(more.size()));
  for (unsigned i = 0; i < more.size(); ++i) WriteEntry(*more[i], entries[i]);
}

Status ReadPlan(schema::TrainingPlan::Reader from, std::span<const Field> fields) {
  for (const Field& field : fields) {
    const auto place = PlaceOf(field);
    if (place) RETURN_IF_ERROR(Named(field.name, FromPlace(field, capnp::DynamicStruct::Reader(from).get(*place))));
  }
  const auto more = from.getMore();
  if (more.size() > kMostEntries) return Fail(Code::kTooLarge, "a plan with {} further fields", more.size());
  std::set<std::string_view> names;
  for (const auto entry : more) {
    const std::string_view name = wire::View(entry.getName());
    if (!names.insert(name).second) return Fail(Code::kMalformed, "{} stands twice", name.substr(0, 80));
    RETURN_IF_ERROR(ReadEntry(entry, fields));
  }
  return {};
}

void WriteTensors(const TensorTable& table, capnp::List<schema::Tensor>::Builder to) {
  for (unsigned i = 0; i < table.tensors.size(); ++i) {
    const TensorEntry& tensor = table.tensors[i];
    to[i].setName(wire::ToText(tensor.name));
    auto shape = to[i].initShape(static_cast<unsigned>(tensor.shape.size()));
    for (unsigned axis = 0; axis < tensor.shape.size(); ++axis) shape.set(axis, tensor.shape[axis]);
  }
}

Result<TensorTable> ReadTensors(capnp::List<schema::Tensor>::Reader from) {
  if (from.size() > limits::kTensors) return Fail(Code::kTooLarge, "{} tensors are over the limit", from.size());
  TensorTable table;
  for (const auto tensor : from) {
    TensorEntry entry{std::string(wire::View(tensor.getName())), {}, table.parameter_count()};
    for (const int64_t dimension : tensor.getShape()) entry.shape.push_back(dimension);
    ASSIGN_OR_RETURN(entry.size, ElementsOf(entry));
    table.tensors.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  return table;
}

Result<TaskManifest> ReadManifest(std::string_view text) {
  auto manifest = FromCarriedText(text);
  if (manifest || manifest.error().code == Code::kTooLarge) return manifest;
  return Fail(Code::kMalformed, "{}", manifest.error().message);
}

}  // namespace tributary
