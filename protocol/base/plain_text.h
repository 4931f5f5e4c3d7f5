#pragma once

#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace tributary {

// Text from outside ends on somebody's terminal, in a log or in a table. Plain text is UTF-8 (RFC 3629) that prints as
// it reads: it has no control characters (C0, DEL, C1), which a terminal obeys; no line separators (U+2028, U+2029),
// which fake a line; and no marks that change the direction of writing (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066
// to U+2069), which let a text read as another. A decoder refuses what is not plain with CheckPlainText; whoever shows a
// text cleans it with PlainText, whatever a decoder has checked.
bool IsUtf8(std::string_view text);
// kMalformed, with `what` as the subject of the sentence: "a device class holds characters that do not print".
Status CheckPlainText(std::string_view text, std::string_view what);
enum class LineBreaks { kReplaced, kKept };
// With '?' in place of every character, and every byte that is not UTF-8, that is not plain.
std::string PlainText(std::string_view text, LineBreaks breaks = LineBreaks::kReplaced);
// At most the first `limit` bytes, without a part of a character at the end.
std::string_view Beginning(std::string_view text, size_t limit);

}  // namespace tributary
