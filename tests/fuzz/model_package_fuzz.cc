#include "protocol/catalogue/model_package.h"
#include "tests/fuzz/fuzz_target.h"

TRIBUTARY_FUZZ_TARGET(model_package) {
  using namespace tributary;
  const auto package = DecodeModelPackage({data, size});
  if (!package) return 0;
  TRIBUTARY_CHECK(package->weights.size() == package->table.parameter_count()) << package->weights.size();
  const Bytes encoded = EncodeModelPackage(*package);
  const auto again = DecodeModelPackage(encoded);
  TRIBUTARY_CHECK(again && EncodeModelPackage(*again) == encoded) << "another package";
  return 0;
}
