#include "gateway/accept/key_rotation.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {
namespace {

constexpr const char* kNext = "next";
constexpr const char* kKey = "curve.key";
constexpr const char* kCertificate = "cert.pem";
constexpr const char* kSwitchAt = "switch-at";
constexpr size_t kKeyBytes = 32;
constexpr size_t kChainBytes = 2 * limits::kCertificateChain * limits::kCertificateBytes;
constexpr Millis kAfterRefusal{3'600'000};

bool IsThere(FileSystem& files, const Path& path) { return files.Size(path).has_value(); }

Result<Bytes> PublicKeyIn(const Path& folder) {
  ASSIGN_OR_RETURN(const SecretBytes line, ReadSecretFile(folder / kKey));
  ASSIGN_OR_RETURN(const SecretBytes secret, FromHexLine(line, kKeyBytes));
  return CurvePublicKeyOf(secret);
}

Result<WallTime> SwitchTime(FileSystem& files, const Path& folder) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, folder / kSwitchAt, 64));
  const std::string_view text = AsText(bytes);
  int64_t millis = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), millis);
  if (error != std::errc() || millis <= 0) {
    return Fail(Code::kCorrupt, (folder / kSwitchAt).string() + " is not a time; remove the folder to begin anew");
  }
  return WallTime{millis};
}

}  // namespace

Status KeyRotation::Begin(FileSystem& files, const Path& identity_folder) {
  const Path folder = identity_folder / kNext;
  if (IsThere(files, folder / kKey)) {
    return Fail(Code::kConflict, "a rotation is under way already: " + folder.string() + " holds the next key");
  }
  RETURN_IF_ERROR(files.CreateFolders(folder));
  const SecretBytes line = ToHexLine(GenerateCurveKeyPair().secret);
  return WriteFileAtomically(files, folder / kKey, line.RevealForUse());
}

Result<bool> KeyRotation::FinishIfDue(FileSystem& files, const Path& identity_folder, WallTime now) {
  const Path folder = identity_folder / kNext;
  for (const char* name : {kKey, kCertificate, kSwitchAt}) {
    if (!IsThere(files, folder / name)) return false;
  }
  ASSIGN_OR_RETURN(const WallTime time, SwitchTime(files, folder));
  if (now < time) return false;
  ASSIGN_OR_RETURN(const SecretBytes key, ReadSecretFile(folder / kKey));
  ASSIGN_OR_RETURN(const Bytes certificate, ReadFile(files, folder / kCertificate, kChainBytes));
  RETURN_IF_ERROR(WriteFileAtomically(files, identity_folder / kKey, key.RevealForUse()));
  RETURN_IF_ERROR(WriteFileAtomically(files, identity_folder / kCertificate, certificate));
  // The key goes first: without it the others mean nothing.
  for (const char* name : {kKey, kCertificate, kSwitchAt}) RETURN_IF_ERROR(files.Remove(folder / name));
  RETURN_IF_ERROR(files.SyncFolder(folder));
  LogInfo("gateway.key_changed", {{"folder", identity_folder.string()}});
  return true;
}

KeyRotation::KeyRotation(Parts parts, const Path& identity_folder, Millis overlap)
    : parts_(std::move(parts)), folder_(identity_folder / kNext), overlap_(overlap) {}

void KeyRotation::Look() {
  if (due_ || asking_ || !IsThere(parts_.files, folder_ / kKey)) return;
  if (!IsThere(parts_.files, folder_ / kCertificate)) return Ask();
  if (!announced_) {
    const Status announced = Announce();
    announced_ = true;
    if (!announced) LogFailure(LogLevel::kError, "gateway.key_not_announced", announced.error());
  }
  const auto time = SwitchTime(parts_.files, folder_);
  if (!time || parts_.clock.Now() < *time) return;
  due_ = true;
  LogInfo("gateway.key_change_due", {{"id", parts_.identity.subject.id.text()}});
  parts_.due();
}

void KeyRotation::Ask() {
  if (!parts_.client.up() || parts_.clock.Monotonic() < ask_again_) return;
  const auto target = parts_.target();
  if (!target) return;
  if (request_.empty()) {
    const auto key = PublicKeyIn(folder_);
    auto request = key ? SealRenewal(parts_.identity, *target, parts_.clock.Now(), *key) : Fail(key.error());
    if (!request) {
      ask_again_ = parts_.clock.Monotonic() + kAfterRefusal;
      return LogFailure(LogLevel::kError, "gateway.key_not_certified", request.error());
    }
    request_ = std::move(*request);
  }
  const Status asked = parts_.client.Enrol(request_, [this, alive = alive_](const EnrolmentAnswer& answer) {
    if (*alive) OnAnswer(answer);
  });
  asking_ = asked.has_value();
}

void KeyRotation::OnAnswer(const EnrolmentAnswer& answer) {
  asking_ = false;
  const Refusal& refusal = answer.refusal;
  Status taken = Fail(refusal.code, refusal.sentence);
  if (answer.kind == EnrolmentAnswer::Kind::kIssued) taken = Take(answer.chain);
  if (taken) return Look();
  const bool passing = answer.kind == EnrolmentAnswer::Kind::kPending || IsTransient(taken.error().code);
  if (!passing) request_.clear();
  ask_again_ = parts_.clock.Monotonic() + (passing ? std::max(refusal.retry.max, Millis(1'000)) : kAfterRefusal);
  LogFailure(passing ? LogLevel::kInfo : LogLevel::kError, "gateway.key_not_certified", taken.error());
}

Status KeyRotation::Take(const std::vector<Bytes>& chain) {
  ASSIGN_OR_RETURN(const VerifiedIdentity next, parts_.identity.anchor.Verify(chain, parts_.clock.Now()));
  ASSIGN_OR_RETURN(const Bytes key, PublicKeyIn(folder_));
  if (next.subject.curve_public_key != key || next.public_key != parts_.identity.key.public_key() ||
      next.subject.id != parts_.identity.subject.id) {
    return Fail(Code::kConflict, "the certificate that came is not for the next key in " + folder_.string());
  }
  std::string pem;
  for (const Bytes& der : chain) pem += CertificateToPem({der});
  const WallTime time = parts_.clock.Now() + overlap_;
  // The certificate comes last: with it the rotation has its date.
  RETURN_IF_ERROR(
      WriteFileAtomically(parts_.files, folder_ / kSwitchAt, AsBytes(std::to_string(time.unix_millis) + "\n")));
  RETURN_IF_ERROR(WriteFileAtomically(parts_.files, folder_ / kCertificate, AsBytes(pem)));
  LogInfo("gateway.key_certified", {{"switch_at", time.unix_seconds()}, {"key", ToHex(key)}});
  return {};
}

Status KeyRotation::Announce() {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(parts_.files, folder_ / kCertificate, kChainBytes));
  ASSIGN_OR_RETURN(auto certificates, CertificatesFromPem(AsText(pem)));
  std::vector<Bytes> chain;
  for (Certificate& certificate : certificates) chain.push_back(std::move(certificate.der));
  return parts_.server.SetNextIdentity(std::move(chain));
}

}  // namespace tributary
