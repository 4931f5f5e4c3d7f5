#include "protocol/member/apply.h"

#include <algorithm>
#include <ostream>

#include "protocol/hop/client/applicant_client.h"
#include "protocol/transport/loop.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/invitation.h"

namespace tributary {
namespace {

Result<Invitation> ReadInvitation(const Application& application) {
  ASSIGN_OR_RETURN(const SecretBytes bytes, ReadSecretFile(application.invitation));
  ASSIGN_OR_RETURN(Invitation invitation, DecodeInvitation(bytes.RevealForUse()));
  if (std::ranges::find(application.roles, invitation.role) == application.roles.end()) {
    return Fail(Code::kWrongRole, application.invitation.string() + " invites a " +
                                      std::string(RoleName(invitation.role)) + ", which this program cannot be");
  }
  return invitation;
}

// Says each reason once, however often it is asked again for the same one.
class Progress {
 public:
  explicit Progress(std::ostream& out) : out_(out) {}
  void Wait(const Error& why) {
    const std::string line = why.ToString();
    if (line == last_) return;
    last_ = line;
    out_ << "waiting: " << line << "\n";
    if (why.code == Code::kPending) out_ << "  " << Describe(why.code).remedy << "\n";
    out_.flush();
  }

 private:
  std::ostream& out_;
  std::string last_;
};

// Asks until there is a final answer.
EnrolmentAnswer Ask(const ApplicantClient::Parts& parts, const ApplicantClient::Options& options, Bytes request,
                    std::ostream& out) {
  EnrolmentAnswer final_answer;
  Progress progress(out);
  ApplicantClient client(parts, options, std::move(request),
                         {.on_end =
                              [&](const EnrolmentAnswer& answer) {
                                final_answer = answer;
                                parts.loop.Stop();
                              },
                          .on_wait = [&](const Error& why, Millis) { progress.Wait(why); }});
  client.Start();
  parts.loop.Run();
  return final_answer;
}

}  // namespace

Status Apply(const Application& application, const Clock& clock, Random& random, FileSystem& files,
             std::ostream& progress) {
  ApplicantClient::Options options;
  options.endpoint = application.endpoint;
  options.retry_cap = application.retry_cap;
  auto key = FromHex(application.server_key);
  if (!key || key->size() != 32) {
    return Fail(Code::kInvalidArgument,
                "the server's key must be 64 hexadecimal digits, as `tributary ca key DIR` prints them");
  }
  options.server_key = std::move(*key);
  ASSIGN_OR_RETURN(const Invitation invitation, ReadInvitation(application));
  ASSIGN_OR_RETURN(Bytes request, BeginIdentity(files, application.identity, invitation, application.id, clock.Now()));
  ASSIGN_OR_RETURN(const Certificate ca, CertificateFromPem(invitation.ca_pem));
  ASSIGN_OR_RETURN(const TrustAnchor anchor, TrustAnchor::FromCertificate(ca, invitation.root));
  progress << "asking for the role " << RoleName(invitation.role) << " in fleet " << invitation.fleet << " at "
           << application.endpoint << "\n";
  progress.flush();

  Loop loop(clock);
  const EnrolmentAnswer answer = Ask({loop, clock, random, anchor}, options, std::move(request), progress);
  if (answer.kind != EnrolmentAnswer::Kind::kIssued) return Fail(answer.refusal.code, answer.refusal.sentence);
  RETURN_IF_ERROR(CompleteIdentity(files, application.identity, answer.chain, clock.Now()));
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(application.identity, clock.Now()));
  progress << "enrolled as " << identity.subject.id.text() << "; its identity is in " << application.identity.string()
           << "\nThe invitation is used up for this member: remove " << application.invitation.string() << "\n";
  return {};
}

}  // namespace tributary
