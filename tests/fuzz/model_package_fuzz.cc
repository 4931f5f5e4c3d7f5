#include "protocol/publication/model_package.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto package = DecodeModelPackage({data, size});
  if (!package) return 0;
  TRIBUTARY_CHECK(package->weights.size() == package->table.parameter_count()) << package->weights.size();
  const Bytes encoded = EncodeModelPackage(*package);
  const auto again = DecodeModelPackage(encoded);
  TRIBUTARY_CHECK(again && EncodeModelPackage(*again) == encoded) << "another package";
  return 0;
}
