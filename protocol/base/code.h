#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tributary {

// The closed list of what can go wrong. The wire, the API, the command line, the metrics and the documentation share it:
// an entry is never renumbered or reused. The headings say what most entries of a section are, `Describe` what one is.
enum class Code : uint16_t {
  // A peer misbehaved or is not entitled: refuse it with this code and go on.
  kMalformed = 1,
  kVersionUnsupported = 2,
  kBadSignature = 3,
  kUnknownCertificate = 4,
  kExpiredCertificate = 5,
  kRevokedCertificate = 6,
  kWrongRole = 7,
  kWrongIdentity = 8,
  kNoSession = 9,
  kCreditExceeded = 10,
  kTooLarge = 11,
  kDigestMismatch = 12,
  kChunkOutOfOrder = 13,
  kSealBroken = 14,
  kUnknownKey = 15,
  kUnknownCodec = 16,
  kWrongTensorCount = 17,
  kNotFinite = 18,
  kNormExceeded = 19,
  kBadWeight = 20,
  kDuplicate = 21,
  kUnknownTask = 22,
  kUnknownVersion = 23,
  kStaleVersion = 24,
  kExpired = 25,
  kUnknownBlob = 26,
  kUnknownUpload = 27,
  kQuotaExceeded = 28,
  kRollback = 29,
  kUnknownKind = 30,
  kRoundClosed = 31,
  kUpstreamCycle = 32,
  kMixedPublication = 33,
  kBadToken = 34,
  kReportRolledBack = 35,

  // Passing conditions: the same request may succeed later.
  kBusy = 50,
  kShuttingDown = 51,
  kTimeout = 52,
  kUnreachable = 53,
  kDiskFull = 54,
  kReadOnly = 55,
  kGaveWay = 56,
  kTooFast = 57,
  kPending = 58,
  kErased = 59,
  kIdentityTwice = 60,

  // The environment failed.
  kIo = 70,
  kCorrupt = 71,
  kLocked = 72,
  kPortInUse = 73,
  kMissingData = 74,
  kDatabase = 75,
  kPermissions = 76,
  kChildFailed = 77,
  kLearnerCrashed = 78,
  kLearnerMemory = 79,
  kLearnerTimeout = 80,
  kLearnerProtocol = 81,
  kClockJumped = 82,
  kDamagedBlob = 83,
  kBehindMembers = 84,

  // A person asked for something that cannot be done as asked.
  kConfigSyntax = 90,
  kConfigUnknownKey = 91,
  kConfigInvalid = 92,
  kInvalidArgument = 93,
  kNotFound = 94,
  kAlreadyExists = 95,
  kConflict = 96,
  kUnauthorized = 97,
  kForbidden = 98,
  kNotSupported = 99,
  kModelRefused = 100,
  kMissingField = 101,
  kFewExamples = 102,
  kBadExample = 103,
  kPruned = 104,
  kNeedsLearner = 105,
};

// Who or what is to blame, and so what the one who gets the code does.
enum class CodeKind : uint8_t {
  kPeer,         // the peer misbehaved or is not entitled: refused for good, and counted
  kPassing,      // nobody is to blame: the same request may succeed later; not counted as a refusal
  kEnvironment,  // this machine failed (disk, database, file rights): what the peer sent is still good
  kPerson,       // a person asked for something that cannot be done as asked
};
std::string_view CodeKindName(CodeKind kind);  // "peer", "passing", "environment", "person"

struct CodeEntry {
  Code code;
  CodeKind kind;
  std::string_view name;      // stable, lower-case with dashes: "digest-mismatch"
  std::string_view sentence;  // what happened
  std::string_view remedy;    // what is safe, and what to do
  // True: the same request may succeed later, so a client retries. Always for a passing condition, never for a peer's
  // or a person's fault, but for what a device lacks to learn; of a failed environment it depends on what failed.
  bool transient = false;
};

// Every code, in numeric order.
std::span<const CodeEntry> AllCodes();
const CodeEntry& Describe(Code code);
inline std::string_view Name(Code code) { return Describe(code).name; }
inline CodeKind KindOf(Code code) { return Describe(code).kind; }
inline bool IsTransient(Code code) { return Describe(code).transient; }
// A fault of this machine: the peer may offer what it has again, but for kGaveWay, which is final.
inline bool IsOfTheEnvironment(Code code) { return KindOf(code) == CodeKind::kEnvironment; }
std::optional<Code> CodeByName(std::string_view name);
// A number from the wire; nullopt when this build does not know it.
std::optional<Code> CodeByNumber(uint16_t number);

}  // namespace tributary
