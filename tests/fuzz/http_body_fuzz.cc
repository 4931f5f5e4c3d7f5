#include "aggregator/api/audit_entry.h"
#include "aggregator/api/device_routes.h"
#include "aggregator/api/enrolment_token_routes.h"
#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_tasks.h"
#include "aggregator/api/round_routes.h"
#include "protocol/base/http/problem.h"
#include "protocol/trust/identity/invitation.h"
#include "tests/fuzz/fuzz_target.h"

// Every decoder of JSON that comes over HTTP, at either end, or lies in a file that others may have written. The first
// byte chooses which; what is accepted keeps to its bounds and is written and read again as the same.
namespace tributary {
namespace {

void Task(std::string_view text) {
  const auto request = TaskRequestFromJson(text);
  if (!request) return;
  const std::string written = TaskRequestToJson(*request);
  const auto again = TaskRequestFromJson(written);
  TRIBUTARY_CHECK(again) << again.error().ToString() << " of " << written;
  TRIBUTARY_CHECK(TaskRequestToJson(*again) == written) << written;
}

void RoundsWanted(std::string_view text) {
  const auto count = RoundsRequestFromJson(text);
  TRIBUTARY_CHECK(!count || (*count >= 1 && *count <= 1'000'000)) << *count;
}

void EnrolmentToken(std::string_view text) {
  const WallTime now{1'767'225'600'000};
  const auto token = EnrolmentTokenFromJson(text, now);
  if (!token) return;
  TRIBUTARY_CHECK(token->expires > now && token->uses >= 1 && token->labels.size() <= 16) << ToJson(*token);
  TRIBUTARY_CHECK(CheckName(token->id, "id").has_value()) << token->id;
}

void Reason(std::string_view text) {
  const auto reason = ReasonFromJson(text);
  TRIBUTARY_CHECK(!reason || (!reason->empty() && reason->size() <= 256)) << reason->size();
}

void Rotation(std::string_view text) {
  const auto overlap = RotationFromJson(text);
  TRIBUTARY_CHECK(!overlap || (*overlap >= Millis(0) && *overlap <= std::chrono::hours(24 * 365))) << overlap->count();
}

// Any answer of a stranger's server is an error with words.
void Problem(std::string_view text) {
  for (const int status : {400, 404, 429, 503, 599}) (void)Describe(ErrorOfProblem(status, text).code).sentence;
}

void AuditLine(std::string_view text) {
  auto entry = AuditEntryFromLine(text);
  (void)AuditLineOfJson(text);
  if (!entry) {
    TRIBUTARY_CHECK(entry.error().code == Code::kCorrupt) << entry.error().ToString();
  }
}

void Time(std::string_view text) {
  const auto time = WallTimeOfRfc3339(std::string(text));
  TRIBUTARY_CHECK(!time || Rfc3339(*time) == text) << text;
}

void Invited(std::string_view text) {
  const auto invitation = DecodeInvitation(AsBytes(text));
  if (!invitation) return;
  const Bytes written = EncodeInvitation(*invitation);
  TRIBUTARY_CHECK(DecodeInvitation(written).has_value()) << "an invitation that is not read again";
}

}  // namespace
}  // namespace tributary

TRIBUTARY_FUZZ_TARGET(http_body) {
  using namespace tributary;
  constexpr void (*kDecoders[])(std::string_view) = {Task,    RoundsWanted, EnrolmentToken, Reason, Rotation,
                                                     Problem, AuditLine,    Time,           Invited};
  if (size == 0) return 0;
  kDecoders[data[0] % std::size(kDecoders)](AsText({data + 1, size - 1}));
  return 0;
}
