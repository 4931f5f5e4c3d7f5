#pragma once

#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"

namespace tributary {

// A column of a table: its heading, and the key of each item that stands in it ("weights.digest" reaches into an
// object).
struct Column {
  std::string heading;
  std::string key;
};

// Of a text "HEADING key, HEADING key": the key is a column's last word.
std::vector<Column> Columns(const std::string& text);
// The list's items under their headings, as wide as the widest; numbers to the right. An empty list is only the
// heading.
std::string RenderTable(const Json& items, const std::vector<Column>& columns);
// Of the account of uploads by kind.
std::vector<Column> AccountColumns();
// "key  value" per line, for one object; inner objects as dotted keys.
std::string RenderObject(const Json& object);
// One value as people read it: null is "-", long digests are cut, counts by reason are "duplicate 2, not-finite 1".
std::string RenderValue(const Json& value);
// For programs; whatever is not ASCII is escaped, because it ends on a terminal as well.
std::string PrettyJson(const Json& value);

}  // namespace tributary
