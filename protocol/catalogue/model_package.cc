#include "protocol/catalogue/model_package.h"

#include "protocol/base/limits.h"
#include "protocol/catalogue/task_wire.h"
#include "protocol/schema/canonical.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr std::string_view kMagic = "TRBPKG1\n";

struct Manifest {
  TensorTable table;
  uint64_t module_size = 0;
  Digest module_digest;
  Digest weights_digest;
  TaskManifest task;
};

Result<Manifest> Read(schema::ModelManifest::Reader from) {
  Manifest to;
  ASSIGN_OR_RETURN(to.table, ReadTensors(from.getTensors()));
  to.module_size = from.getModuleSize();
  if (to.module_size > limits::kBlobBytes)
    return Fail(Code::kTooLarge, "module of {} bytes is over the limit", to.module_size);
  ASSIGN_OR_RETURN(to.module_digest, Digest::FromBytes(wire::View(from.getModuleDigest())));
  ASSIGN_OR_RETURN(to.weights_digest, Digest::FromBytes(wire::View(from.getWeightsDigest())));
  ASSIGN_OR_RETURN(to.task, ReadManifest(wire::View(from.getManifest())));
  return to;
}

Result<Manifest> TakeManifest(ByteView& from) {
  ASSIGN_OR_RETURN(const ByteView magic, TakeBytes(from, kMagic.size()));
  if (AsText(magic) != kMagic) return Fail(Code::kMalformed, "this is not a model package");
  ASSIGN_OR_RETURN(const uint32_t size, TakeU32(from));
  // The tensor table has to fit into a publication later.
  if (size > limits::kPublicationBytes) return Fail(Code::kTooLarge, "manifest of {} bytes is over the limit", size);
  ASSIGN_OR_RETURN(const ByteView manifest, TakeBytes(from, size));
  return wire::DecodeCanonical<schema::ModelManifest>(
      manifest, "model manifest", [](schema::ModelManifest::Reader reader) { return Read(reader); });
}

}  // namespace

Bytes EncodeModelPackage(const ModelPackage& package) {
  TRIBUTARY_CHECK(package.weights.size() == package.table.parameter_count())
      << package.weights.size() << " weights, " << package.table.parameter_count() << " in the table";
  const Bytes manifest = wire::EncodeCanonical<schema::ModelManifest>([&](schema::ModelManifest::Builder to) {
    WriteTensors(package.table, to.initTensors(static_cast<unsigned>(package.table.tensors.size())));
    to.setModuleSize(package.module.size());
    to.setModuleDigest(wire::ToData(Sha256(package.module).view()));
    to.setWeightsDigest(wire::ToData(Sha256(AsBytes(package.weights)).view()));
    if (const std::string text = CarriedText(package.manifest); !text.empty()) to.setManifest(wire::ToText(text));
  });
  Bytes bytes;
  // At once: a vector that grows would hold a large package twice.
  bytes.reserve(kMagic.size() + sizeof(uint32_t) + manifest.size() + package.module.size() +
                package.weights.size() * sizeof(float));
  Append(bytes, AsBytes(kMagic));
  AppendU32(bytes, static_cast<uint32_t>(manifest.size()));
  Append(bytes, manifest);
  Append(bytes, package.module);
  Append(bytes, AsBytes(package.weights));
  return bytes;
}

Result<ModelPackage> DecodeModelPackage(ByteView bytes) {
  ASSIGN_OR_RETURN(Manifest manifest, TakeManifest(bytes));
  ASSIGN_OR_RETURN(const ByteView module, TakeBytes(bytes, manifest.module_size));
  const uint64_t parameters = manifest.table.parameter_count();
  if (bytes.size() != parameters * sizeof(float))
    return Fail(Code::kMalformed, "the package has {} bytes of weights for {} parameters", bytes.size(), parameters);
  if (Sha256(module) != manifest.module_digest) return Fail(Code::kDigestMismatch, "the package's module was altered");
  if (Sha256(bytes) != manifest.weights_digest)
    return Fail(Code::kDigestMismatch, "the package's weights were altered");
  ASSIGN_OR_RETURN(std::vector<float> weights, ToFloats(bytes, parameters));
  return ModelPackage{std::move(manifest.table), ToBytes(module), std::move(weights), std::move(manifest.task)};
}

}  // namespace tributary
