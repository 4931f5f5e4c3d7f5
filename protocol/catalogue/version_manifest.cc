#include "protocol/catalogue/version_manifest.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "protocol/base/json.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/publication_set.h"
#include "protocol/trust/tuf/canonical_json.h"
#include "protocol/trust/tuf/metadata.h"

namespace tributary {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kManifestFormat = "tributary-manifest-1";
constexpr size_t kManifestBytes = limits::kMiB;
// A path through a million million leaves.
constexpr size_t kMostPath = 40;

Json DigestOrNull(const std::optional<Digest>& digest) { return digest ? Json(digest->hex()) : Json(); }

Result<Json> ParseObject(std::string_view text) {
  if (text.size() > kManifestBytes) return Fail(Code::kTooLarge, "{} bytes", text.size());
  ASSIGN_OR_RETURN(Json json, ParseJson(AsBytes(text), JsonForm::kMetadata));
  if (!json.is_object()) return Fail(Code::kMalformed, "no JSON object");
  return json;
}

// Reads members one after the other, and keeps the first fault.
class Members {
 public:
  explicit Members(const Json& object) : object_(object) {}
  void Text(const char* name, std::string& into) {
    if (const Json* value = Find(name, &Json::is_string)) into = value->get<std::string>();
  }
  void Number(const char* name, uint64_t& into) {
    if (const Json* value = Find(name, &Json::is_number_unsigned)) into = value->get<uint64_t>();
  }
  // A number that JSON's readers may round, as text.
  void Weight(const char* name, uint64_t& into) {
    std::string text;
    Text(name, text);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (error != std::errc() || end != text.data() + text.size()) Fault(name);
  }
  void Hex(const char* name, Digest& into) {
    std::string hex;
    Text(name, hex);
    Take(name, Digest::FromHex(hex), into);
  }
  void HexOrNull(const char* name, std::optional<Digest>& into) {
    const auto found = object_.find(name);
    if (found == object_.end() || found->is_null()) return;
    Hex(name, into.emplace());
  }
  void Counts(const char* name, std::map<std::string, uint64_t>& into) {
    const Json* const object = Find(name, &Json::is_object);
    if (object == nullptr) return;
    for (const auto& [key, value] : object->items()) {
      if (!value.is_number_unsigned()) return Fault(name);
      into[key] = value.get<uint64_t>();
    }
  }
  void Texts(const char* name, std::map<std::string, std::string>& into) {
    const Json* const object = Find(name, &Json::is_object);
    if (object == nullptr) return;
    for (const auto& [key, value] : object->items()) {
      if (!value.is_string()) return Fault(name);
      into[key] = value.get<std::string>();
    }
  }
  void Digests(const char* name, size_t most, std::vector<Digest>& into) {
    const Json* const list = Find(name, &Json::is_array);
    if (list == nullptr) return;
    if (list->size() > most) return Fault(name);
    for (const Json& one : *list)
      Take(name, Digest::FromHex(one.is_string() ? one.get<std::string>() : ""), into.emplace_back());
  }
  template <class T>
  void Take(const char* name, const Result<T>& found, T& into) {
    if (!found) return Fault(name);
    into = *found;
  }
  const Json* Find(const char* name, bool (Json::*is)() const noexcept) {
    const auto found = object_.find(name);
    if (found != object_.end() && ((*found).*is)()) return &*found;
    Fault(name);
    return nullptr;
  }
  Status status() const {
    if (fault_.empty()) return {};
    return Fail(Code::kMalformed, "{} is missing or of another kind", fault_);
  }

 private:
  void Fault(const char* name) {
    if (fault_.empty()) fault_ = name;
  }
  const Json& object_;
  std::string fault_;
};

}  // namespace

std::string ManifestText(const VersionManifest& manifest) {
  return tuf::CanonicalText({{"format", kManifestFormat},
                             {"task", manifest.task.text()},
                             {"version", Number(manifest.version)},
                             {"parent", Number(manifest.parent)},
                             {"parent_manifest", DigestOrNull(manifest.parent_manifest)},
                             {"weights", manifest.weights.hex()},
                             {"round", manifest.round},
                             {"plan", manifest.plan.hex()},
                             {"aggregate", manifest.aggregate.hex()},
                             {"contributions_root", manifest.contributions_root.hex()},
                             {"contributions", manifest.contributions},
                             {"total_weight", std::to_string(manifest.total_weight)},
                             {"scaled", manifest.scaled},
                             {"capped", manifest.capped},
                             {"refused", manifest.refused},
                             {"staleness", manifest.staleness},
                             {"gateways", manifest.gateways},
                             {"facts", manifest.facts},
                             {"created_millis", manifest.created_millis}});
}

Result<VersionManifest> ReadVersionManifest(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseObject(text));
  VersionManifest manifest;
  Members members(json);
  std::string format, task;
  uint64_t version = 0, parent = 0;
  members.Text("format", format);
  members.Text("task", task);
  members.Take("task", TaskId::Parse(task), manifest.task);
  members.Number("version", version);
  members.Number("parent", parent);
  members.HexOrNull("parent_manifest", manifest.parent_manifest);
  members.Hex("weights", manifest.weights);
  members.Number("round", manifest.round);
  members.Hex("plan", manifest.plan);
  members.Hex("aggregate", manifest.aggregate);
  members.Hex("contributions_root", manifest.contributions_root);
  members.Number("contributions", manifest.contributions);
  members.Weight("total_weight", manifest.total_weight);
  members.Number("scaled", manifest.scaled);
  members.Number("capped", manifest.capped);
  members.Counts("refused", manifest.refused);
  members.Counts("staleness", manifest.staleness);
  members.Counts("gateways", manifest.gateways);
  members.Texts("facts", manifest.facts);
  members.Number("created_millis", manifest.created_millis);
  RETURN_IF_ERROR(members.status());
  if (format != kManifestFormat) return Fail(Code::kMalformed, "a manifest of the format '{}'", format);
  manifest.version = ModelVersion{version};
  manifest.parent = ModelVersion{parent};
  return manifest;
}

Digest LeafOf(const UploadId& upload) { return MerkleLeaf(upload.view()); }

Result<std::string> SignManifest(std::string_view text, const Signer& rounds) {
  std::vector<tuf::Signature> signatures;
  RETURN_IF_ERROR(tuf::AddSignature(text, rounds, signatures));
  Json list = Json::array();
  for (const tuf::Signature& signature : signatures)
    list.push_back({{"keyid", signature.key_id}, {"sig", signature.hex}});
  return tuf::CanonicalText({{"signatures", list}, {"signed", Json::parse(text)}});
}

Result<std::string> OpenManifest(std::string_view file, const tuf::Keys& keys, const tuf::RoleKeys& rounds) {
  ASSIGN_OR_RETURN(const Json json, ParseObject(file));
  std::vector<tuf::Signature> signatures;
  Members members(json);
  const Json* const list = members.Find("signatures", &Json::is_array);
  const Json* const body = members.Find("signed", &Json::is_object);
  RETURN_IF_ERROR(members.status());
  for (const Json& one : *list) {
    if (!one.is_object() || signatures.size() >= kMostPath) return Fail(Code::kMalformed, "signatures of another form");
    Members signature(one);
    signature.Text("keyid", signatures.emplace_back().key_id);
    signature.Text("sig", signatures.back().hex);
    RETURN_IF_ERROR(signature.status());
  }
  std::string text = tuf::CanonicalText(*body);
  RETURN_IF_ERROR(tuf::VerifyThreshold(kRoundsRole, text, signatures, keys, rounds));
  return text;
}

std::string ProofText(const ContributionProof& proof) {
  Json path = Json::array();
  for (const Digest& hash : proof.path) path.push_back(hash.hex());
  return tuf::CanonicalText(
      {{"manifest", Json::parse(proof.manifest)}, {"leaf", proof.leaf.hex()}, {"index", proof.index}, {"path", path}});
}

Result<ContributionProof> ReadProof(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseObject(text));
  ContributionProof proof;
  Members members(json);
  const Json* const manifest = members.Find("manifest", &Json::is_object);
  members.Hex("leaf", proof.leaf);
  members.Number("index", proof.index);
  members.Digests("path", kMostPath, proof.path);
  RETURN_IF_ERROR(members.status());
  proof.manifest = tuf::CanonicalText(*manifest);
  return proof;
}

Result<VersionManifest> CheckProof(const ContributionProof& proof, const tuf::Keys& keys, const tuf::RoleKeys& rounds) {
  ASSIGN_OR_RETURN(const std::string text, OpenManifest(proof.manifest, keys, rounds));
  ASSIGN_OR_RETURN(VersionManifest manifest, ReadVersionManifest(text));
  RETURN_IF_ERROR(
      CheckMerklePath(proof.leaf, proof.index, manifest.contributions, proof.path, manifest.contributions_root));
  return manifest;
}

}  // namespace tributary
