#include "aggregator/watch/evaluations.h"

#include <set>

#include "protocol/base/limits.h"
#include "protocol/envelope/open_upload.h"

namespace tributary {

Result<Bytes> OpenDeviceState(const UploadHeader& header, const HpkeKeyPair& key,
                              const std::function<Result<Bytes>(uint32_t index)>& chunk) {
  const UploadSubject& subject = header.subject;
  if (subject.codec != Codec::kRecord) {
    return Fail(Code::kUnknownCodec, std::string(KindName(subject.kind)) + " comes as a record, not as codec " +
                                         std::to_string(static_cast<int>(subject.codec)));
  }
  if (subject.plaintext_size > limits::kRecordBytes || subject.chunk_size > limits::kMaxChunkBytes) {
    return Fail(Code::kTooLarge, "a report of " + std::to_string(subject.plaintext_size) + " bytes");
  }
  ASSIGN_OR_RETURN(auto opener, UploadOpener::Begin(header, key));
  Bytes part(subject.chunk_size);
  Bytes plaintext;
  for (uint32_t i = 0; i < subject.chunk_count; ++i) {
    ASSIGN_OR_RETURN(const Bytes ciphertext, chunk(i));
    ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(ciphertext, part));
    Append(plaintext, ByteView(part).first(size));
  }
  return plaintext;
}

Result<std::vector<EvaluationResult>> OpenEvaluation(const UploadHeader& header, const HpkeKeyPair& key,
                                                     const std::function<Result<Bytes>(uint32_t index)>& chunk) {
  ASSIGN_OR_RETURN(const Bytes plaintext, OpenDeviceState(header, key, chunk));
  ASSIGN_OR_RETURN(auto results, DecodeEvaluation(plaintext));
  std::set<EvaluatedModel> models;
  for (const EvaluationResult& result : results) {
    if (!models.insert(result.model).second) return Fail(Code::kMalformed, "two results for the same model");
  }
  return results;
}

ModelVersion JudgedBase(ModelVersion evaluated, Role role) {
  return role == Role::kEvaluator ? ModelVersion{Number(evaluated) - 1} : evaluated;
}

Status FillMeans(EvaluationTable& evaluations, RoundRecord& round) {
  const std::string device(RoleName(Role::kDevice));
  ASSIGN_OR_RETURN(const auto personal, evaluations.Total(round.task, round.base, device, EvaluatedModel::kPersonal));
  ASSIGN_OR_RETURN(const auto local, evaluations.Total(round.task, round.base, device, EvaluatedModel::kGlobal));
  EvaluationTotal global;
  if (Number(round.result) > 0) {
    ASSIGN_OR_RETURN(global, evaluations.Total(round.task, round.result, std::string(RoleName(Role::kEvaluator)),
                                               EvaluatedModel::kGlobal));
  }
  round.personal_accuracy = personal.accuracy();
  round.local_global_accuracy = local.accuracy();
  round.global_accuracy = global.accuracy();
  round.evaluations = personal.reports + local.reports + global.reports;
  return {};
}

}  // namespace tributary
