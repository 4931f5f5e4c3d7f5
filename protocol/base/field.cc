#include "protocol/base/field.h"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace tributary {
namespace {

constexpr size_t kNameColumns = 30;
constexpr size_t kLineColumns = 110;

std::string NameIn(std::string_view section, const Field& field) {
  return section.empty() ? std::string(field.name) : fmt::format("{}.{}", section, field.name);
}

std::string NumberText(double number) { return fmt::format("{:.15g}", number); }
std::string NumberText(std::integral auto number) { return fmt::format("{}", number); }

tl::unexpected<Error> FailKind(std::string_view wanted) { return Fail(Code::kInvalidArgument, "must be {}", wanted); }

tl::unexpected<Error> FailName(const Field& field, std::string_view name) {
  return Fail(Code::kInvalidArgument, "must be one of {}, not '{}'", fmt::join(field.names, ", "), name.substr(0, 80));
}

Status CheckNumber(const Field& field, auto number) {
  const Bounds bounds = field.AllBounds();
  if (bounds.Hold(static_cast<double>(number))) return {};
  const std::string text = bounds.Text();
  return Fail(Code::kInvalidArgument, "must be {}, not {}", text.empty() ? "a number" : text, NumberText(number));
}

template <class Number>
Status PutWhole(const Field& field, Number* place, auto number) {
  RETURN_IF_ERROR(CheckNumber(field, number));
  if (!std::in_range<Number>(number)) return Fail(Code::kInvalidArgument, "must be smaller than {}", number);
  *place = static_cast<Number>(number);
  return {};
}

// ---- one overload for each kind of place

// A value that needs no check but that of its kind.
template <class Kind>
Status PutKind(auto* place, const FieldValue& value, std::string_view wanted) {
  const Kind* right = std::get_if<Kind>(&value);
  if (!right) return FailKind(wanted);
  *place = *right;
  return {};
}

Status Put(const Field&, bool* place, const FieldValue& value) { return PutKind<bool>(place, value, "true or false"); }
Status Put(const Field&, Path* place, const FieldValue& value) {
  return PutKind<std::string>(place, value, "a string");
}
Status Put(const Field&, std::vector<std::string>* place, const FieldValue& value) {
  return PutKind<std::vector<std::string>>(place, value, "a list of strings");
}

template <std::integral Number>
Status Put(const Field& field, Number* place, const FieldValue& value) {
  if (const auto* whole = std::get_if<int64_t>(&value)) return PutWhole(field, place, *whole);
  if (const auto* natural = std::get_if<uint64_t>(&value)) return PutWhole(field, place, *natural);
  return FailKind("an integer");
}

Status Put(const Field& field, double* place, const FieldValue& value) {
  const auto put = [&](double number) -> Status {
    RETURN_IF_ERROR(CheckNumber(field, number));
    *place = number;
    return {};
  };
  if (const auto* real = std::get_if<double>(&value)) return put(*real);
  if (const auto* whole = std::get_if<int64_t>(&value)) return put(static_cast<double>(*whole));
  if (const auto* natural = std::get_if<uint64_t>(&value)) return put(static_cast<double>(*natural));
  return FailKind("a number");
}

Status Put(const Field& field, std::string* place, const FieldValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  const bool any = !text || field.names.empty() || std::ranges::find(field.names, *text) != field.names.end();
  return any ? PutKind<std::string>(place, value, "a string") : FailName(field, *text);
}

Status Put(const Field& field, Choice place, const FieldValue& value) {
  std::string text;
  RETURN_IF_ERROR(PutKind<std::string>(&text, value, "a string"));
  const auto found = std::ranges::find(field.names, text);
  if (found == field.names.end()) return FailName(field, text);
  *place.number = static_cast<uint8_t>(found - field.names.begin());
  return {};
}

FieldValue ValueAt(const Field&, const auto* place) { return *place; }
FieldValue ValueAt(const Field&, const uint16_t* place) { return uint64_t{*place}; }
FieldValue ValueAt(const Field&, const uint32_t* place) { return uint64_t{*place}; }
FieldValue ValueAt(const Field&, const Path* place) { return place->string(); }
FieldValue ValueAt(const Field& field, Choice place) {
  const size_t number = *place.number;
  return number < field.names.size() ? std::string(field.names[number]) : NumberText(number);
}

// ---- the manual

std::string TextOf(const FieldValue& value) {
  struct {
    std::string operator()(std::monostate) const { return "none"; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t number) const { return NumberText(number); }
    std::string operator()(uint64_t number) const { return NumberText(number); }
    std::string operator()(double number) const { return NumberText(number); }
    std::string operator()(const std::string& text) const { return text.empty() ? "none" : text; }
    std::string operator()(const std::vector<std::string>& list) const {
      return list.empty() ? "none" : fmt::format("{}", fmt::join(list, ", "));
    }
  } text;
  return std::visit(text, value);
}

// "(required)", "[64 MiB; between 1 and 65536]", "[sgd; one of sgd, adamw]".
std::string Particulars(const Field& field) {
  std::string text = field.required ? "required" : TextOf(field.Value());
  if (!field.unit.empty()) text += fmt::format("{}{}", field.required ? " in " : " ", field.unit);
  if (const std::string bounds = field.bounds.Text(); !bounds.empty()) text += "; " + bounds;
  if (!field.names.empty()) text += fmt::format("; one of {}", fmt::join(field.names, ", "));
  return field.required ? "(" + text + ")" : "[" + text + "]";
}

// Appends `text` word by word behind what stands in `out`, whose last line is `column` long.
void AppendWrapped(std::string& out, std::string_view text, size_t column) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (column > kNameColumns && column + 1 + word.size() > kLineColumns) {
      out += "\n" + std::string(kNameColumns, ' ');
      column = kNameColumns;
    } else if (column > kNameColumns) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
}

}  // namespace

bool Bounds::Hold(double value) const {
  const bool over = open_below ? value > least : value >= least;
  const bool under = open_above ? value < most : value <= most;
  return over && under;
}

std::string Bounds::Text() const {
  const bool below = least != -std::numeric_limits<double>::infinity();
  const bool above = most != std::numeric_limits<double>::infinity();
  if (below && above && !open_below && !open_above)
    return fmt::format("between {} and {}", NumberText(least), NumberText(most));
  std::string text;
  if (below) text = fmt::format("{} {}", open_below ? "above" : "at least", NumberText(least));
  if (below && above) text += " and ";
  if (above) text += fmt::format("{} {}", open_above ? "below" : "at most", NumberText(most));
  return text;
}

Bounds Field::AllBounds() const {
  Bounds all = bounds;
  const auto of_type = [&](double largest) {
    all.least = std::max(all.least, 0.0);
    all.most = std::min(all.most, largest);
  };
  if (std::holds_alternative<uint16_t*>(place)) of_type(std::numeric_limits<uint16_t>::max());
  if (std::holds_alternative<uint32_t*>(place)) of_type(std::numeric_limits<uint32_t>::max());
  if (std::holds_alternative<uint64_t*>(place)) of_type(std::numeric_limits<double>::infinity());
  if (at_most) all.most = std::min<double>(all.most, *at_most);
  return all;
}

FieldValue Field::Value() const {
  return std::visit([&](auto where) { return ValueAt(*this, where); }, place);
}

Status Field::Set(const FieldValue& value) const {
  return std::visit([&](auto where) { return Put(*this, where, value); }, place);
}

Status CheckFields(std::span<const Field> fields, std::string_view section) {
  for (const Field& field : fields) {
    if (const Status right = field.Set(field.Value()); !right)
      return Fail(right.error().code, "{} {}", NameIn(section, field), right.error().message);
  }
  return {};
}

std::string FieldsManual(std::span<const Field> fields, std::string_view section) {
  std::string manual;
  for (const Field& field : fields) {
    if (field.help.empty()) continue;
    std::string line = "  " + NameIn(section, field);
    line += line.size() >= kNameColumns ? "\n" + std::string(kNameColumns, ' ')
                                        : std::string(kNameColumns - line.size(), ' ');
    AppendWrapped(line, fmt::format("{} {}", field.help, Particulars(field)), kNameColumns);
    manual += line + "\n";
  }
  return manual;
}

std::vector<Field> Joined(std::vector<Field> first, std::vector<Field> second) {
  std::ranges::move(second, std::back_inserter(first));
  return first;
}

}  // namespace tributary
