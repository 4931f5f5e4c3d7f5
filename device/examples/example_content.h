#pragma once

#include <span>
#include <vector>

#include "device/examples/collection.h"

namespace tributary {

// How an example stands in the database:
//   content = length{of each field that varies} values{of each field}
//   length  = the number of elements, 4 bytes, little endian
// Worked example, tokens:INT64[-1] of one token 5, label:UINT8 of 2: 01 00 00 00  05 00 00 00 00 00 00 00  02
Bytes EncodeContent(const NewExample& example);

// kBadExample: the values are not those of the fields, by their sizes; a length is no whole number of rows; a value is no
// finite number, or a BOOL over 1. kTooLarge:
// over kExampleBytes. kInvalidArgument: an id that begins with '#', as those that are made, or a name that is too long.
Status CheckNewExample(std::span<const ExampleField> fields, const NewExample& example);

struct ContentPart {
  ByteView values;
  uint64_t elements = 0;
};
// The values of each field, as views into `content`; `parts` is overwritten. kCorrupt: they are not of these fields.
Status SplitContent(std::span<const ExampleField> fields, ByteView content, std::vector<ContentPart>& parts);

// The id of an example that came without one: equal content has equal ids.
std::string MadeId(ByteView content);
// Whether an example is held out: by a hash of its collection and its id, so that it never changes the share.
bool IsHeldOut(const std::string& collection, const std::string& id, double share);

}  // namespace tributary
