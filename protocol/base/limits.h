#pragma once

#include <cstddef>
#include <cstdint>

// Every size that comes from outside has its limit here, is checked against it before anything is allocated, and
// answers kTooLarge beyond it.
namespace tributary::limits {

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;

// One Cap'n Proto hop message without its bulk frame. The largest are Assignment, which carries a publication, and
// CheckIn with all the reports it may carry, 9 KiB each when every code was counted.
inline constexpr size_t kHopMessageBytes = 4 * kMiB;
// One signed envelope: header, signature and certificate chain.
inline constexpr size_t kEnvelopeBytes = 32 * kKiB;
inline constexpr size_t kHeaderBytes = 4 * kKiB;
inline constexpr size_t kCertificateBytes = 8 * kKiB;
inline constexpr size_t kCertificateChain = 4;
inline constexpr size_t kPublicationBytes = 2 * kMiB;
// The parts of a publication. Root metadata is a few KiB; a member that was away for more rotations than this is set up
// anew.
inline constexpr size_t kRootBytes = 64 * kKiB;
inline constexpr size_t kRootVersions = 64;
inline constexpr size_t kTimestampBytes = 16 * kKiB;
inline constexpr size_t kSnapshotBytes = 64 * kKiB;
inline constexpr size_t kTargetsBytes = 512 * kKiB;
inline constexpr size_t kDelegatedRoles = 8;
inline constexpr size_t kMetadataSignatures = 64;
// A CRL's entry is about 40 bytes: six thousand members.
inline constexpr size_t kRevocationBytes = 256 * kKiB;
// A sealed request for a certificate; an invitation, which holds root metadata.
inline constexpr size_t kEnrolmentBytes = 32 * kKiB;
inline constexpr size_t kInvitationBytes = 256 * kKiB;
// Sealing keys that were replaced and still open what was sealed to them.
inline constexpr size_t kFormerKeys = 16;
inline constexpr size_t kTasks = 256;
inline constexpr size_t kAcceptedVersions = 64;
// Named one by one in a round that asks again: 32 KiB. For more of them everybody is asked.
inline constexpr size_t kAskedDevices = 4096;

// The gateways between a client and the aggregator, and the gateways below one of which a check-in tells.
inline constexpr size_t kPathHops = 64;
inline constexpr size_t kGatewayReports = 256;
inline constexpr size_t kTroubleBytes = 512;
// What another process says it has counted. Up to here a number stands exactly in JSON and in a metric's double.
inline constexpr uint64_t kCounter = uint64_t{1} << 53;
// 9999-12-31T23:59:59.999Z, the last time that a certificate and RFC 3339 can say. No time lies before 1970.
inline constexpr int64_t kLatestUnixMillis = 253'402'300'799'999;
constexpr bool IsTime(int64_t unix_millis) { return unix_millis >= 0 && unix_millis <= kLatestUnixMillis; }

// The plaintext of a chunk. 256 KiB keeps a chunk in a core's L2 cache and costs a bad link at most that much again.
inline constexpr size_t kDefaultChunkBytes = 256 * kKiB;
inline constexpr size_t kMinChunkBytes = 4 * kKiB;
inline constexpr size_t kMaxChunkBytes = 4 * kMiB;
// What AEAD adds to a chunk.
inline constexpr size_t kSealTagBytes = 16;
inline constexpr uint64_t kPayloadBytes = 4096ull * kMiB;
// A blob travels down in pieces of at most this much.
inline constexpr size_t kPieceBytes = 256 * kKiB;
inline constexpr uint64_t kBlobBytes = 4096ull * kMiB;

inline constexpr uint64_t kParameters = 1'000'000'000;
inline constexpr size_t kTensors = 65'536;
inline constexpr size_t kTensorRank = 8;
inline constexpr size_t kTensorNameBytes = 512;
// The payload of an evaluation or a device state.
inline constexpr size_t kRecordBytes = 64 * kKiB;
// The lists of a device state. With the most tasks, 256, that is 60 KiB.
inline constexpr size_t kDeviceStateCounters = 64;
inline constexpr size_t kDeviceStateRejections = 32;
inline constexpr size_t kDeviceStateFailures = 32;
inline constexpr size_t kSentenceBytes = 256;

inline constexpr size_t kConfigBytes = kMiB;
inline constexpr size_t kHttpBodyBytes = 4 * kMiB;
// An entry of the audit log: two values of 16 KiB and what goes with them.
inline constexpr size_t kAuditLineBytes = 64 * kKiB;

// No clock is trusted further than this: what lies further ahead is refused as malformed.
inline constexpr int64_t kFarFutureMillis = 10ll * 365 * 24 * 3600 * 1000;

}  // namespace tributary::limits
