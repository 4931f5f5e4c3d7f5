#include "protocol/base/plain_text.h"

#include <cstdint>

namespace tributary {
namespace {

struct Character {
  char32_t code = 0;
  size_t bytes = 1;
  bool valid = false;
};

// The first character of `text`, which is not empty.
Character First(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  char32_t code = lead & (0xFF >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast[bytes] || code > 0x10FFFF || surrogate) return {};
  return {code, bytes, true};
}

bool Prints(char32_t code) {
  const auto within = [code](char32_t first, char32_t last) { return code >= first && code <= last; };
  return code >= 0x20 && !within(0x7F, 0x9F) && code != 0x061C && !within(0x200E, 0x200F) && !within(0x2028, 0x202E) &&
         !within(0x2066, 0x2069);
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Character first = First(text);
    if (!first.valid) return false;
    text.remove_prefix(first.bytes);
  }
  return true;
}

Status CheckPlainText(std::string_view text, std::string_view what) {
  while (!text.empty()) {
    const Character first = First(text);
    if (!first.valid) return Fail(Code::kMalformed, "{} is not UTF-8", what);
    if (!Prints(first.code)) return Fail(Code::kMalformed, "{} holds characters that do not print", what);
    text.remove_prefix(first.bytes);
  }
  return {};
}

std::string PlainText(std::string_view text, LineBreaks breaks) {
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    const Character first = First(text);
    const bool kept = first.code == '\n' && breaks == LineBreaks::kKept;
    if (first.valid && (kept || Prints(first.code))) {
      plain += text.substr(0, first.bytes);
    } else {
      plain += '?';
    }
    text.remove_prefix(first.bytes);
  }
  return plain;
}

std::string_view Beginning(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<uint8_t>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit);
}

}  // namespace tributary
