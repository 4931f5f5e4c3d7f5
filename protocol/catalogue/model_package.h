#pragma once

#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"

namespace tributary {

// The file that `tributary-device pack` makes and a task is created from: the TorchScript module and its shared weights.
// On disk (little endian):
//   package  = magic manifest_size manifest module weights
//   magic    = "TRBPKG1\n"                                        8 bytes
//   manifest_size                                                  u32
//   manifest = ModelManifest of schema/publication.capnp, canonical bytes
//   module   = the bytes that torch.jit.save wrote                 manifest.moduleSize
//   weights  = float32 values in the table's order                 4 * parameter_count
// For example, a package of a module of 3 weights in a 5,000-byte module file ends with 5,012 bytes behind the
// manifest.
struct ModelPackage {
  TensorTable table;
  Bytes module;
  std::vector<float> weights;
  TaskManifest manifest = ManifestOfImages();
};

Bytes EncodeModelPackage(const ModelPackage& package);
// kMalformed, kTooLarge, kDigestMismatch (module or weights are not what the manifest says).
Result<ModelPackage> DecodeModelPackage(ByteView bytes);

}  // namespace tributary
