#include <nlohmann/json.hpp>

#include "protocol/base/json.h"
#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/publication_set.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/trust/tuf/canonical_json.h"
#include "protocol/trust/tuf/metadata.h"
#include "tests/fuzz/fixed_fleet.h"
#include "tests/fuzz/fuzz_target.h"

// Everything of a publication that a stranger's bytes reach. The first byte says which decoder gets the rest
// (make_seeds.cc has the same list); what a decoder takes must come back from its encoder.
namespace tributary {
namespace {

void OpenSet(ByteView bytes) {
  (void)OpenPublication(bytes, FixedAnchor(), kFixedTime);
  const auto set = DecodePublicationSet(bytes);
  if (!set) return;
  TRIBUTARY_CHECK(EncodePublicationSet(*set) == ToBytes(bytes)) << bytes.size();
}

void ReadCatalogue(ByteView bytes) {
  const auto publication = DecodePublication(bytes);
  if (!publication) return;
  const auto again = DecodePublication(EncodePublication(*publication));
  TRIBUTARY_CHECK(again && *again == *publication) << bytes.size();
}

template <class Body>
std::optional<Body> ReadMetadata(ByteView bytes) {
  const auto metadata = tuf::ParseMetadata<Body>(bytes);
  if (!metadata) return std::nullopt;
  const auto again = tuf::ParseMetadata<Body>(tuf::EncodeMetadata(*metadata));
  TRIBUTARY_CHECK(again && again->body == metadata->body) << Body::kType;
  TRIBUTARY_CHECK(again->signed_text == metadata->signed_text && again->signatures == metadata->signatures);
  const auto rewritten = tuf::ParseMetadata<Body>(tuf::EncodeMetadata(tuf::MakeMetadata(metadata->body)));
  TRIBUTARY_CHECK(rewritten.has_value()) << rewritten.error().ToString();
  return metadata->body;
}

void ReadRoot(ByteView bytes) {
  const auto metadata = tuf::ParseMetadata<tuf::Root>(bytes);
  if (!ReadMetadata<tuf::Root>(bytes)) return;
  (void)tuf::VerifyThreshold("root", metadata->signed_text, metadata->signatures, metadata->body.keys,
                             metadata->body.roles.at("root"));
}

void ReadTargets(ByteView bytes) {
  const auto targets = ReadMetadata<tuf::Targets>(bytes);
  if (!targets) return;
  for (const auto& delegation : targets->delegations) {
    (void)delegation.Covers(kCataloguePath);
    for (const auto& [path, file] : targets->files) (void)delegation.Covers(path);
  }
}

void ReadJson(ByteView bytes) {
  const auto json = ParseJson(bytes, JsonForm::kMetadata);
  if (!json) return;
  const auto again = ParseJson(AsBytes(tuf::CanonicalText(*json)), JsonForm::kMetadata);
  TRIBUTARY_CHECK(again && *again == *json) << bytes.size();
}

}  // namespace
}  // namespace tributary

TRIBUTARY_FUZZ_TARGET(publication) {
  using namespace tributary;
  if (size == 0) return 0;
  const ByteView rest{data + 1, size - 1};
  switch (data[0] % 8) {
    case 0:
      OpenSet(rest);
      break;
    case 1:
      ReadCatalogue(rest);
      break;
    case 2:
      ReadRoot(rest);
      break;
    case 3:
      ReadMetadata<tuf::Timestamp>(rest);
      break;
    case 4:
      ReadMetadata<tuf::Snapshot>(rest);
      break;
    case 5:
      ReadTargets(rest);
      break;
    case 6:
      (void)DecodeTrusted(rest, Digest());
      break;
    default:
      ReadJson(rest);
  }
  return 0;
}
