#include "device/learn/personal_model.h"
#include "tests/fuzz/fuzz_target.h"

TRIBUTARY_FUZZ_TARGET(personal_model) {
  using namespace tributary;
  const auto model = DecodePersonalModel({data, size});
  if (!model) return 0;
  for (const PersonalTensor& tensor : model->tensors)
    TRIBUTARY_CHECK(tensor.values.size() * sizeof(float) <= size) << tensor.name;
  const auto again = DecodePersonalModel(EncodePersonalModel(*model));
  TRIBUTARY_CHECK(again && *again == *model) << "another model";
  return 0;
}
