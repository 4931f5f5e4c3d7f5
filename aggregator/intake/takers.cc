#include "aggregator/intake/takers.h"

#include "protocol/base/log.h"

namespace tributary {

Taker* Takers::Of(UploadKind kind) const {
  const auto found = takers_.find(kind);
  return found == takers_.end() ? nullptr : found->second;
}

Verdict Takers::Admit(const UploadHeader& header) {
  Taker* const taker = Of(header.subject.kind);
  if (taker == nullptr) {
    return Fail(Code::kUnknownKind, "this aggregator does not take uploads of the kind {}",
                KindName(header.subject.kind));
  }
  return taker->Admit(header);
}

Verdict Takers::Contribute(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  Verdict verdict = Admit(header);
  if (verdict.is_take()) verdict = Of(subject.kind)->Take(header, role, chunk);
  if (verdict.is_take() || verdict.kind() == Verdict::Kind::kInSum) return verdict;
  const Code code = verdict.kind() == Verdict::Kind::kCounted ? Code::kDuplicate : verdict.error().code;
  Count(subject.kind, &subject, code, header.ciphertext_size);
  return verdict;
}

void Takers::Count(UploadKind kind, const UploadSubject* subject, Code code, uint64_t bytes) {
  if (KindOf(code) != CodeKind::kPeer) return;
  accounts_.Refuse(kind, code);
  LogInfo("upload.refused", {{"kind", KindName(kind)},
                             {"code", Name(code)},
                             {"device", subject ? subject->device.text() : std::string("?")}});
  if (Taker* const taker = Of(kind); taker != nullptr && subject) taker->OnRefused(*subject, code, bytes);
}

Result<const HpkeKeyPair*> OpeningKey(const FindOpeningKey& find, const UploadSubject& subject) {
  const HpkeKeyPair* const key = find(subject.key_id);
  if (key == nullptr) return Fail(Code::kUnknownKey, "sealed to key {}", subject.key_id.hex());
  return key;
}

Status CheckSender(UploadKind kind, Role role, bool or_evaluator) {
  if (role == Role::kDevice || (or_evaluator && role == Role::kEvaluator)) return {};
  return Fail(Code::kWrongRole, "an upload of the kind {} does not come from role {}", KindName(kind), RoleName(role));
}

}  // namespace tributary
