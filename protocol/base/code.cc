#include "protocol/base/code.h"

#include <algorithm>
#include <array>

#include "protocol/base/result.h"

namespace tributary {
namespace {

constexpr bool kRetry = true;
using enum CodeKind;

constexpr auto kCodes = std::to_array<CodeEntry>({
    {Code::kMalformed, kPeer, "malformed", "The bytes do not have the form the protocol asks for.",
     "Nothing was taken in. Check that both ends run a supported version; a device that repeats it is faulty."},
    {Code::kVersionUnsupported, kPeer, "version-unsupported", "The peers share no version of the hop protocol.",
     "Nothing was taken in. Upgrade the older side."},
    {Code::kBadSignature, kPeer, "bad-signature",
     "A signature does not verify under the certificate that came with it.",
     "Nothing was taken in. The sender's key or the bytes were altered; re-issue the identity if it repeats."},
    {Code::kUnknownCertificate, kPeer, "unknown-certificate", "The certificate was not issued by this fleet's CA.",
     "Nothing was taken in. Issue the peer an identity of this fleet, or point it at the right fleet."},
    {Code::kExpiredCertificate, kPeer, "expired-certificate", "The certificate is outside its validity period.",
     "Nothing was taken in; the upload stays at the sender. Check the clock on both sides, then renew the "
     "certificate."},
    {Code::kRevokedCertificate, kPeer, "revoked-certificate", "The certificate has been revoked.",
     "Nothing was taken in. Enrol the device again if that was a mistake."},
    {Code::kWrongRole, kPeer, "wrong-role", "The certificate's role does not permit this.",
     "Nothing was taken in. Use an identity of the needed role."},
    {Code::kWrongIdentity, kPeer, "wrong-identity", "The message speaks for somebody other than its sender.",
     "Nothing was taken in. A device uploads only its own envelopes; only gateways relay others'."},
    {Code::kNoSession, kPassing, "no-session", "There is no session for this connection.",
     "Nothing was lost. The client introduces itself again by itself.", kRetry},
    {Code::kCreditExceeded, kPeer, "credit-exceeded", "More bytes were sent than credit was given for.",
     "The connection was closed; durable chunks are kept and the upload resumes. A client that repeats it is faulty."},
    {Code::kTooLarge, kPeer, "too-large", "A size is over its limit.",
     "Nothing was taken in. The message says which limit; raise it in the configuration if the size is meant."},
    {Code::kDigestMismatch, kPassing, "digest-mismatch",
     "The bytes do not have the digest that was announced for them.",
     "The bytes were thrown away. The sender starts this transfer again, a few times.", kRetry},
    {Code::kChunkOutOfOrder, kPassing, "chunk-out-of-order", "A chunk other than the next expected one arrived.",
     "The chunk was thrown away; those before it are kept and the upload resumes after them.", kRetry},
    {Code::kSealBroken, kPeer, "seal-broken", "A chunk does not open: altered, moved, or sealed for another header.",
     "The upload was refused and nothing was added to any sum. A device that repeats it is faulty or an attacker."},
    {Code::kUnknownKey, kPeer, "unknown-key", "The payload is sealed to a key this aggregator does not hold.",
     "The upload was refused. The device fetches the current publication and trains again."},
    {Code::kUnknownCodec, kPeer, "unknown-codec", "The payload's codec is not one this version reads.",
     "The upload was refused. Upgrade the aggregator or choose another codec for the task."},
    {Code::kWrongTensorCount, kPeer, "wrong-tensor-count",
     "The update's length is not the model's number of shared weights.",
     "The upload was refused and nothing was added. The device runs another model than the task's."},
    {Code::kNotFinite, kPeer, "not-finite", "A loss, a gradient, a metric or an update is NaN or infinity.",
     "It was not used: nothing was sealed or added. Lower the learning rate, scale the inputs, or look into the "
     "module's own "
     "loss for a logarithm, a root or a division that has no value."},
    {Code::kNormExceeded, kPeer, "norm-exceeded",
     "A value or the norm of an update, or a metric of an evaluation, is over its bound, or a variance would become "
     "negative.",
     "Nothing was added to any sum; a device that finds it seals nothing and gives the version up. A norm within the "
     "task's bound is only scaled down to the round's. If such results are expected, make the task again with a larger "
     "bounds.norm or bounds.value, else lower the learning rate."},
    {Code::kBadWeight, kPeer, "bad-weight",
     "The update's weight is 0, or over the bound of a task that refuses such weights.",
     "The upload was refused and nothing was added. A task with bounds.first_weight counts a large weight as less "
     "instead."},
    {Code::kDuplicate, kPeer, "duplicate", "This device has already contributed for this base version.",
     "The earlier contribution counts; this copy was thrown away. Nothing to do."},
    {Code::kUnknownTask, kPeer, "unknown-task", "There is no such task.",
     "Nothing was taken in. Check the task's name; the device fetches the current publication."},
    {Code::kUnknownVersion, kPeer, "unknown-version", "There is no such model version of the task.",
     "Nothing was taken in. The device fetches the current publication."},
    {Code::kStaleVersion, kPeer, "stale-version", "The update's base version is no longer accepted.",
     "The update was not counted. The device trains again from the current version."},
    {Code::kExpired, kPeer, "expired", "The item is past its expiry.",
     "Nothing was taken in. Fetch or make a fresh one."},
    {Code::kUnknownBlob, kPassing, "unknown-blob", "No blob of that digest is held here.",
     "Nothing is wrong below. A gateway fetches it when its uplink allows; the client asks again.", kRetry},
    {Code::kUnknownUpload, kPassing, "unknown-upload", "No such upload is under way on this connection.",
     "Nothing was lost. The client offers the upload again.", kRetry},
    {Code::kQuotaExceeded, kPassing, "quota-exceeded", "The quota for this sender or kind is used up.",
     "What was accepted earlier is safe. The sender keeps the upload and tries again later.", kRetry},
    {Code::kRollback, kPeer, "rollback", "The publication is older than one already seen.",
     "The newer publication stays in force. Whoever served the old one is stale or an attacker."},
    {Code::kUnknownKind, kPeer, "unknown-kind", "The upload's kind is not one this version knows.",
     "Nothing was taken in. Upgrade the receiving side."},
    {Code::kRoundClosed, kPassing, "round-closed", "No round collects updates for this base version now.",
     "The update stays with its sender, which offers it again when a round opens that takes its base version.", kRetry},
    {Code::kUpstreamCycle, kPeer, "upstream-cycle", "This gateway is its own upstream, directly or through others.",
     "What is in custody is safe. Point upstream.endpoint of one of them nearer to the aggregator."},
    {Code::kMixedPublication, kPeer, "mixed-publication",
     "A publication was put together from parts that do not belong together.",
     "It is not taken; the model that is here goes on running. If it keeps coming, look at who serves it."},
    {Code::kBadToken, kPeer, "bad-token", "The enrolment token is unknown, used up, over, or for another role.",
     "No certificate was issued. Ask an operator for a new one: tributary tokens create."},
    {Code::kReportRolledBack, kPeer, "report-rolled-back",
     "What a device says of itself went back behind what it said before.",
     "Only the report was refused; what the device learns counts as ever. It lost its data folder and kept its "
     "identity, "
     "or an older copy of the folder is at work: tributary devices forget ID --report-only lets it begin anew. If you "
     "know of neither, somebody else has its key: tributary devices revoke ID."},

    {Code::kBusy, kPassing, "busy", "The server has given out all the credit it has.",
     "Nothing was lost. The client tries again within the window it was given.", kRetry},
    {Code::kShuttingDown, kPassing, "shutting-down", "The process is shutting down.",
     "What was acknowledged is safe. The client tries again.", kRetry},
    {Code::kTimeout, kPassing, "timeout", "The peer made no progress within the time allowed.",
     "Nothing acknowledged was lost. The client connects again with backoff.", kRetry},
    {Code::kUnreachable, kPassing, "unreachable", "The peer cannot be reached.",
     "Nothing was lost. The client tries again with backoff; check address, port and key.", kRetry},
    {Code::kDiskFull, kEnvironment, "disk-full", "There is no space left on the disk.",
     "What was acknowledged is safe. Free space or raise the quota; work goes on by itself.", kRetry},
    {Code::kReadOnly, kEnvironment, "read-only", "The file system is mounted read-only.",
     "What was acknowledged is safe. Look in the kernel's log why, mount it writable; work goes on by itself.", kRetry},
    {Code::kGaveWay, kEnvironment, "gave-way", "The upload was dropped to make room for newer or more important ones.",
     "Only device states give way. Raise spool.max_mib or the disk if this happens often."},
    {Code::kTooFast, kPassing, "too-fast", "This peer, or its address, asks more often than is allowed.",
     "Nothing was lost. The client tries again within the window it was given.", kRetry},
    {Code::kPending, kPassing, "pending", "An operator has to decide about this enrolment.",
     "The applicant goes on asking by itself. Decide with: tributary devices approve ID, or refuse ID.", kRetry},
    {Code::kErased, kPassing, "erased", "Examples that the upload was made from were deleted on the device.",
     "The upload is gone. The device makes it again without them while its version is wanted. Do nothing.", kRetry},
    {Code::kIdentityTwice, kPassing, "identity-twice", "Two programs use one identity.",
     "Nothing was lost, but they end each other's sessions. Stop one of them. If both are yours, enrol each by itself, "
     "as "
     "tributary-device enrol does; if not, somebody else has the key: tributary devices revoke ID.",
     kRetry},

    {Code::kIo, kEnvironment, "io", "A file operation failed.",
     "What was acknowledged before is safe. Check the disk and its mount.", kRetry},
    {Code::kCorrupt, kEnvironment, "corrupt", "Stored bytes are damaged.",
     "Nothing of it was used. A damaged entry of our own was set aside, and the rest is served; a file that was given "
     "must be "
     "made or copied again. The message says which, and how much was lost."},
    {Code::kLocked, kEnvironment, "locked", "Another process holds this data folder.",
     "Nothing was changed. Stop the other process or give this one a folder of its own."},
    {Code::kPortInUse, kEnvironment, "port-in-use", "Another process listens on this address.",
     "Nothing was changed. Stop it or choose another port in the configuration."},
    {Code::kMissingData, kEnvironment, "missing-data", "The data set is not where it was looked for.",
     "Nothing was changed. The message names what is not there: correct the path, or make or install it."},
    {Code::kDatabase, kEnvironment, "database", "The database refused a statement.",
     "The transaction was rolled back; earlier ones are safe. Check the disk; the message has the database's words.",
     kRetry},
    {Code::kPermissions, kEnvironment, "permissions", "A file's owner or mode is not what it must be.",
     "Nothing was changed. The message says which file and mode."},
    {Code::kChildFailed, kEnvironment, "child-failed", "A program that was started ended with an error.",
     "What it had finished is safe. Its log says why it ended."},
    {Code::kLearnerCrashed, kEnvironment, "learner-crashed", "The learner's process ended in the middle of its work.",
     "The device goes on and kept nothing of that work. The message says how it ended. After three times the version "
     "is "
     "given up; try the task's module with `tributary-device pack`."},
    {Code::kLearnerMemory, kEnvironment, "learner-memory", "The learner needed more memory than it may have.",
     "The device goes on and kept nothing of that work. Raise learner.memory_mib, or make the model or its batches "
     "smaller."},
    {Code::kLearnerTimeout, kEnvironment, "learner-timeout", "The learner did not finish in the time that it may take.",
     "The device goes on and kept nothing of that work. Raise learner.wall_seconds, or lower the plan's epochs or "
     "max_steps."},
    {Code::kLearnerProtocol, kEnvironment, "learner-protocol", "The learner answered what the protocol does not have.",
     "The device goes on and kept nothing of that work. The message says which message was wrong."},
    {Code::kClockJumped, kEnvironment, "clock-jumped",
     "The aggregator's clock may be wrong, so it signs nothing for members.",
     "Nothing is lost: uploads are taken, rounds go on, and what is to be published waits. Set the clock right; if it "
     "is "
     "right now, say so: tributary clock accept.",
     kRetry},
    {Code::kDamagedBlob, kEnvironment, "damaged-blob", "The disk has changed the bytes of a model's file.",
     "The file was set aside as .damaged, and nothing uses it. A device or gateway fetches it again from its server by "
     "itself. At the aggregator put the file of that name back into blobs/, from a backup or from relay/blobs/ of a "
     "gateway. Then look after the disk.",
     kRetry},
    {Code::kBehindMembers, kEnvironment, "behind-members",
     "Members hold newer publications of this aggregator than it knows of itself.",
     "It was restored from a backup, or its folder is a copy. It goes on above their numbers by itself. What it did "
     "after the backup is lost: look at rounds and versions, and see \"Backup and restore\" in the README.",
     kRetry},

    {Code::kConfigSyntax, kPerson, "config-syntax", "The configuration file is not valid TOML.",
     "Nothing was started. The message names the line."},
    {Code::kConfigUnknownKey, kPerson, "config-unknown-key", "The configuration has a key this program does not know.",
     "Nothing was started. The message names the line and the keys that exist there."},
    {Code::kConfigInvalid, kPerson, "config-invalid", "A configuration value is missing or out of bounds.",
     "Nothing was started. The message names the key and its bounds."},
    {Code::kInvalidArgument, kPerson, "invalid-argument", "An argument is not acceptable.",
     "Nothing was changed. The message says which and why."},
    {Code::kNotFound, kPerson, "not-found", "There is nothing of that name.",
     "Nothing was changed. List what exists first."},
    {Code::kAlreadyExists, kPerson, "already-exists", "Something of that name exists already.",
     "The existing one was left as it is. Choose another name."},
    {Code::kConflict, kPerson, "conflict", "The state does not permit this now.",
     "Nothing was changed. Look at the present state and decide again."},
    {Code::kUnauthorized, kPerson, "unauthorized", "No valid token, passphrase or PIN was given.",
     "Nothing was changed. Pass a token of this aggregator (--token-file), or the key's passphrase or PIN "
     "(--passphrase-file)."},
    {Code::kForbidden, kPerson, "forbidden", "The token's role does not permit this.",
     "Nothing was changed. Use a token of the needed role."},
    {Code::kNotSupported, kPerson, "not-supported", "This build or version cannot do that.", "Nothing was changed."},
    {Code::kModelRefused, kPerson, "model-refused", "The model's file holds what no model may do on a device.",
     "It was not run. The message names the operator, the method and the line; save the model without it."},
    {Code::kMissingField, kPerson, "missing-field", "The device's examples do not have a field that the task needs.",
     "Nothing was trained. The message names the field: import it, or name another in the task. The device looks again "
     "by "
     "itself within 15 seconds after an import, and when it is restarted.",
     kRetry},
    {Code::kFewExamples, kPerson, "few-examples", "The device has fewer examples than the task asks for.",
     "Nothing was trained. Import more examples: the device looks again by itself within 15 seconds after an import, "
     "and "
     "when it is restarted.",
     kRetry},
    {Code::kBadExample, kPerson, "bad-example", "An example is not what its field or the model takes.",
     "Nothing was trained or imported of it. The message names the file and row, or the field and value: correct the "
     "examples and import them again. A running device tries again by itself within 5 minutes after that, and when it "
     "is "
     "restarted.",
     kRetry},
    {Code::kPruned, kPerson, "pruned", "What was asked for is so old that it was removed.",
     "Versions in use are kept, and so are those that are pinned. Use a newer one; to keep more, raise [retention], or "
     "pin what must stay: tributary models pin."},
    {Code::kNeedsLearner, kPerson, "needs-learner", "The task has no module, and the device no program of its own that learns.",
     "Nothing was trained. Name the task's program in learner.command of the device's configuration and restart the device; "
     "it looks again then, and every 5 minutes.",
     kRetry},
});

std::optional<Code> CodeOf(const CodeEntry* found) {
  return found == kCodes.end() ? std::nullopt : std::optional(found->code);
}

}  // namespace

std::span<const CodeEntry> AllCodes() { return kCodes; }

std::string_view CodeKindName(CodeKind kind) {
  constexpr std::string_view kNames[] = {"peer", "passing", "environment", "person"};
  return kNames[static_cast<size_t>(kind)];
}

const CodeEntry& Describe(Code code) {
  const auto* found = std::ranges::find(kCodes, code, &CodeEntry::code);
  TRIBUTARY_CHECK(found != kCodes.end()) << "code " << static_cast<int>(code) << " has no entry";
  return *found;
}

std::optional<Code> CodeByName(std::string_view name) {
  return CodeOf(std::ranges::find(kCodes, name, &CodeEntry::name));
}

std::optional<Code> CodeByNumber(uint16_t number) {
  return CodeOf(std::ranges::find(kCodes, static_cast<Code>(number), &CodeEntry::code));
}

}  // namespace tributary
