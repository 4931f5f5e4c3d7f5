#include "protocol/publication/publication.h"
#include "protocol/publication/publication_form.h"
#include "tests/fuzz/fixed_fleet.h"
#include "tests/fuzz/fuzz_target.h"

// The signed form as it comes from a stranger, and the body as it would come with a good signature.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  (void)OpenPublication({data, size}, FixedAnchor(), kFixedTime);
  const auto publication = DecodePublication({data, size});
  if (!publication) return 0;
  const auto again = DecodePublication(EncodePublication(*publication));
  TRIBUTARY_CHECK(again && *again == *publication) << "number " << publication->number;
  return 0;
}
