#include "aggregator/enrol/sealing_keys.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/secret.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr const char* kRestore = "; restore it from a backup: what was sealed to it opens with nothing else";

Result<HpkeKeyPair> ReadPair(const Path& file) {
  ASSIGN_OR_RETURN(const SecretBytes text, ReadSecretFile(file));
  auto secret = FromHexLine(text, kX25519Bytes);
  if (!secret) return Fail(Code::kCorrupt, "{}: {}{}", file.string(), secret.error().message, kRestore);
  return HpkeKeyPairFromSecret(std::move(*secret));
}

// Overwrites the file's bytes before it goes, as far as the disk obeys.
Status Wipe(FileSystem& files, const Path& file) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(file));
  ASSIGN_OR_RETURN(const auto open, files.OpenForWrite(file));
  RETURN_IF_ERROR(open->WriteAt(0, Bytes(std::min<uint64_t>(size, limits::kKiB))));
  RETURN_IF_ERROR(open->Sync());
  return files.Remove(file);
}

// `sealing/index.json`: which keys there are and until when, the current one last.
//   {"keys": [{"id": "8f…", "made": 1767225600000, "until": 1768435200000}, {"id": "03…", "made": 1767830400000}]}
// Times are milliseconds since 1970; the current key has no end.
struct IndexEntry {
  KeyId id;
  WallTime made;
  WallTime until;  // 0: the current key
};

Result<int64_t> TimeOf(const json& entry, const char* field) {
  const auto found = entry.find(field);
  if (found == entry.end() || !found->is_number_integer()) {
    return Fail(Code::kCorrupt, "a key's field '{}' is missing", field);
  }
  return found->get<int64_t>();
}

Result<IndexEntry> ReadEntry(const json& entry) {
  if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_string()) {
    return Fail(Code::kCorrupt, "a key has no id");
  }
  IndexEntry read;
  auto id = KeyId::FromHex(entry["id"].get<std::string>());
  if (!id) return Fail(Code::kCorrupt, id.error().message);
  read.id = *id;
  ASSIGN_OR_RETURN(read.made.unix_millis, TimeOf(entry, "made"));
  if (entry.contains("until")) {
    ASSIGN_OR_RETURN(read.until.unix_millis, TimeOf(entry, "until"));
  }
  return read;
}

// kCorrupt: another form, or not exactly one current key, at the end.
Result<std::vector<IndexEntry>> DecodeIndex(ByteView bytes) {
  const json object = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!object.is_object() || !object.contains("keys") || !object["keys"].is_array()) {
    return Fail(Code::kCorrupt, "not an index of sealing keys");
  }
  std::vector<IndexEntry> entries;
  for (const json& entry : object["keys"]) {
    ASSIGN_OR_RETURN(const IndexEntry read, ReadEntry(entry));
    entries.push_back(read);
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool current = entries[i].until == WallTime{};
    if (current != (i + 1 == entries.size())) return Fail(Code::kCorrupt, "the last key, and only it, has no end");
  }
  if (entries.empty()) return Fail(Code::kCorrupt, "the index names no key");
  return entries;
}

}  // namespace

struct SealingKeys::Key {
  HpkeKeyPair pair;
  KeyId id;
  WallTime made;
  WallTime until;  // 0: the current key
  bool IsOver(WallTime now) const { return until != WallTime{} && until <= now; }
};

Result<SealingKeys> SealingKeys::Open(FileSystem& files, const Path& data_dir, WallTime now) {
  SealingKeys keys(files, data_dir / "sealing");
  const Path older = data_dir / "sealing.key";
  RETURN_IF_ERROR(files.CreateFolders(keys.folder_));
  const auto index = ReadFile(files, keys.IndexFile(), limits::kConfigBytes);
  if (!index && index.error().code != Code::kNotFound) return Fail(index.error());
  RETURN_IF_ERROR(index ? keys.Load(*index) : keys.Begin(older, now));
  RETURN_IF_ERROR(keys.RemoveStrays(older));
  return keys;
}

Status SealingKeys::Begin(const Path& older, WallTime now) {
  ASSIGN_OR_RETURN(HpkeKeyPair pair,
                   files_->Size(older) ? ReadPair(older) : Result<HpkeKeyPair>(GenerateHpkeKeyPair()));
  ASSIGN_OR_RETURN(auto key, SaveKey(std::move(pair), now));
  keys_ = {std::move(key)};
  return SaveIndex(keys_);
}

Status SealingKeys::Load(ByteView index) {
  auto entries = DecodeIndex(index);
  if (!entries) return Fail(entries.error().code, IndexFile().string() + ": " + entries.error().message + kRestore);
  for (const IndexEntry& entry : *entries) {
    auto pair = ReadPair(FileOf(entry.id));
    if (!pair && pair.error().code == Code::kNotFound) {
      return Fail(Code::kMissingData, "{} is missing{}", FileOf(entry.id).string(), kRestore);
    }
    if (!pair) return Fail(pair.error());
    if (HpkeKeyId(pair->public_key) != entry.id) {
      return Fail(Code::kCorrupt, "{} holds another key than its name says{}", FileOf(entry.id).string(), kRestore);
    }
    keys_.push_back(std::make_shared<const Key>(Key{std::move(*pair), entry.id, entry.made, entry.until}));
  }
  return {};
}

// Removes the rest of an interrupted rotation, and the older form of the current key.
Status SealingKeys::RemoveStrays(const Path& older) {
  ASSIGN_OR_RETURN(const auto names, files_->List(folder_));
  for (const std::string& name : names) {
    const bool known = std::ranges::any_of(keys_, [&](const auto& key) { return FileOf(key->id) == folder_ / name; });
    if (!known && name.ends_with(".key")) RETURN_IF_ERROR(Wipe(*files_, folder_ / name));
  }
  if (files_->Size(older)) return Wipe(*files_, older);
  return {};
}

Result<std::shared_ptr<const SealingKeys::Key>> SealingKeys::SaveKey(HpkeKeyPair pair, WallTime now) {
  const KeyId id = HpkeKeyId(pair.public_key);
  const SecretBytes line = ToHexLine(pair.secret);
  RETURN_IF_ERROR(WriteFileAtomically(*files_, FileOf(id), line.RevealForUse()));
  TRIBUTARY_FAULT_POINT("aggregator.sealing.key_written");
  return std::make_shared<const Key>(Key{std::move(pair), id, now, {}});
}

Status SealingKeys::SaveIndex(const Keys& keys) {
  json entries = json::array();
  for (const auto& key : keys) {
    json& entry = entries.emplace_back(json{{"id", key->id.hex()}, {"made", key->made.unix_millis}});
    if (key->until != WallTime{}) entry["until"] = key->until.unix_millis;
  }
  const std::string text = json{{"keys", std::move(entries)}}.dump(2) + "\n";
  RETURN_IF_ERROR(WriteFileAtomically(*files_, IndexFile(), AsBytes(text)));
  TRIBUTARY_FAULT_POINT("aggregator.sealing.index_written");
  return {};
}

const HpkeKeyPair& SealingKeys::current() const { return keys_.back()->pair; }

const HpkeKeyPair* SealingKeys::Find(const KeyId& id, WallTime now) const {
  const auto found = std::ranges::find_if(keys_, [&](const auto& key) { return key->id == id; });
  return found == keys_.end() || (*found)->IsOver(now) ? nullptr : &(*found)->pair;
}

std::vector<FormerSealingKey> SealingKeys::Former(WallTime now) const {
  std::vector<FormerSealingKey> former;
  for (const auto& key : keys_) {
    if (key->until > now) former.push_back({key->id, key->until});
  }
  return former;
}

Status SealingKeys::Rotate(WallTime now, Millis overlap) {
  ASSIGN_OR_RETURN(auto next, SaveKey(GenerateHpkeKeyPair(), now));
  Keys keys = keys_;
  const Key& current = *keys.back();
  keys.back() = std::make_shared<const Key>(
      Key{{SecretBytes::CopyOf(current.pair.secret.RevealForUse()), current.pair.public_key},
          current.id,
          current.made,
          // An end of 0 would say that it is the current one.
          std::max(now + overlap, WallTime{1})});
  keys.push_back(std::move(next));
  if (auto saved = SaveIndex(keys); !saved) {
    (void)Wipe(*files_, FileOf(keys.back()->id));  // or the next start does it
    return Fail(saved.error());
  }
  keys_ = std::move(keys);
  return {};
}

Result<size_t> SealingKeys::DropEnded(WallTime now) {
  Keys rest, ended;
  for (const auto& key : keys_) (key->IsOver(now) ? ended : rest).push_back(key);
  if (ended.empty()) return size_t{0};
  RETURN_IF_ERROR(SaveIndex(rest));
  keys_ = std::move(rest);
  for (const auto& key : ended) RETURN_IF_ERROR(Wipe(*files_, FileOf(key->id)));
  return ended.size();
}

}  // namespace tributary
