#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "device/examples/example_set.h"

namespace tributary {

// A field as people write it: "window:FP32[24,2]", "label:INT64" (a number), "tokens:INT64[-1]" (any length). The schema
// of a collection is stored in this form.
std::string FieldText(const ExampleField& field);
// The part behind the colon, into `field`. kInvalidArgument says what is wrong.
Status ParseFieldType(std::string_view text, ExampleField& field);
// Errors: as ParseFieldType and CheckExampleField.
Result<ExampleField> ParseField(std::string_view text);

// One value, appended in the form of the type. kBadExample: no number, not finite, or the type does not hold it; the
// message has the value and the type.
Status AppendText(DType dtype, std::string_view text, Bytes& to);
Status AppendWhole(DType dtype, int64_t value, Bytes& to);
Status AppendReal(DType dtype, double value, Bytes& to);

// The value that stands at `from`; whole numbers above 2^53 are rounded.
double RealAt(DType dtype, const uint8_t* from);

}  // namespace tributary
