#include "aggregator/operator/command/table.h"

#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>

#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

constexpr size_t kDigestShown = 12;  // characters of a digest: enough to tell two apart

// Characters, not bytes: continuation bytes of UTF-8 take no room.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

bool IsHexDigest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

const Json* Reach(const Json& item, std::string key) {
  std::ranges::replace(key, '.', '/');
  const Json::json_pointer at("/" + key);
  return item.contains(at) ? &item.at(at) : nullptr;
}

std::string Pad(const std::string& text, size_t width, bool right) {
  const std::string space(width - std::min(width, Width(text)), ' ');
  return right ? space + text : text + space;
}

void RenderInto(std::string& out, const Json& object, const std::string& prefix, size_t width) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object() && !value.empty() && !value.begin()->is_number_unsigned()) {
      RenderInto(out, value, prefix + key + ".", width);
    } else {
      out += Pad(PlainText(prefix + key), width, false) + "  " +
             (value.is_string() ? PlainText(value.get<std::string>()) : RenderValue(value)) + "\n";
    }
  }
}

}  // namespace

std::string RenderValue(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return IsHexDigest(text) ? text.substr(0, kDigestShown) : text.empty() ? "-" : PlainText(text);
  }
  if (value.is_object()) {
    std::string text;
    for (const auto& [key, inner] : value.items())
      text += (text.empty() ? "" : ", ") + PlainText(key) + " " + RenderValue(inner);
    return text.empty() ? "-" : text;
  }
  return value.is_array() ? std::to_string(value.size()) : value.dump();
}

std::string PrettyJson(const Json& value) { return value.dump(2, ' ', true, Json::error_handler_t::replace); }

std::vector<Column> Columns(const std::string& text) {
  std::vector<Column> columns;
  std::istringstream list(text);
  for (std::string column; std::getline(list >> std::ws, column, ',');) {
    const size_t blank = column.rfind(' ');
    columns.push_back({column.substr(0, blank), column.substr(blank + 1)});
  }
  return columns;
}

std::vector<Column> AccountColumns() {
  return Columns(
      "KIND kind, OFFERED offered, DELIVERED delivered, SPOOLED spooled, IN FLIGHT in_flight, DUPLICATE duplicate, "
      "REFUSED refused, DROPPED dropped, HOLDS holds");
}

std::string RenderTable(const Json& items, const std::vector<Column>& columns) {
  std::vector<std::vector<std::string>> cells(columns.size());
  std::vector<size_t> widths;
  std::vector<bool> numbers;
  for (size_t c = 0; c < columns.size(); ++c) {
    cells[c].push_back(columns[c].heading);
    bool number = !items.empty();
    for (const auto& item : items) {
      const Json* value = Reach(item, columns[c].key);
      cells[c].push_back(value ? RenderValue(*value) : "-");
      number = number && (!value || value->is_number() || value->is_null());
    }
    widths.push_back(Width(std::ranges::max(cells[c], {}, &Width)));
    numbers.push_back(number);
  }
  std::string out;
  for (size_t row = 0; row <= items.size(); ++row) {
    std::string line;
    for (size_t c = 0; c < columns.size(); ++c) line += (c ? "  " : "") + Pad(cells[c][row], widths[c], numbers[c]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string RenderObject(const Json& object) {
  constexpr size_t kKeyWidth = 24;
  std::string out;
  RenderInto(out, object, "", kKeyWidth);
  return out;
}

}  // namespace tributary
