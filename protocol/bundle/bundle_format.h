#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"

// The format of a bundle: a folder of plain files that say themselves what they are, on a disk that is carried by hand.
// Each is written beside, synced and renamed, so that every file with its final name is whole, and a disk that is
// pulled out early holds a usable bundle.
//
//   uploads/<upload id, 32 hex digits>.upload   one upload in custody of the gateway that exported it
//   receipts/<server id>-<n>.receipt            the aggregator took custody of these uploads (receipt.h)
//   publication.bin                             the signed publication (schema/publication.capnp), as it travels down
//   blobs/<SHA-256, 64 hex digits>              the blobs it names
//   set-aside/<name>                            what an import could not use, with the reason in its name
//   …/<name>.part                               being written, or left by an interruption: nothing reads it
//
//   upload   := "TRIBUPLD" version:u32 envelope_size:u32 envelope payload      integers are little endian
//   version  := 1
//   envelope := SignedEnvelope (schema/envelope.capnp), `envelope_size` bytes, at most limits::kEnvelopeBytes
//   payload  := the ciphertext chunks one behind the other, as many bytes as the envelope's header says; nothing
//   follows
//
// For example an upload of id 00112233445566778899aabbccddeeff with an envelope of 612 (0x264) bytes and 48,200 bytes
// of ciphertext is uploads/00112233445566778899aabbccddeeff.upload of 16 + 612 + 48,200 = 48,828 bytes and begins with
//
//   54 52 49 42 55 50 4c 44   01 00 00 00   64 02 00 00   …      T R I B U P L D, version 1, 612 bytes of envelope
//
// Nothing in it is secret that was not on the wire: payloads are sealed to the aggregator. Nothing in it is believed
// either: signatures are checked by the server that an import offers it to, receipts and the publication before use.
namespace tributary::bundle {

inline constexpr std::string_view kUploads = "uploads";
inline constexpr std::string_view kReceipts = "receipts";
inline constexpr std::string_view kBlobs = "blobs";
inline constexpr std::string_view kPublication = "publication.bin";
inline constexpr std::string_view kSetAside = "set-aside";
inline constexpr std::string_view kPart = ".part";

inline constexpr size_t kUploadHeadBytes = 16;
// Files of one kind in a bundle: more are ignored, and the import says so.
inline constexpr size_t kMaxFiles = 1'000'000;

Bytes UploadHead(uint32_t envelope_size);
// The first kUploadHeadBytes of a file; how long the envelope is. kMalformed, kVersionUnsupported, kTooLarge.
Result<uint32_t> ParseUploadHead(ByteView head);

std::string UploadName(const UploadId& id);
// nullopt: not a name of an upload.
std::optional<UploadId> UploadOfName(std::string_view name);

// Whether it is a file itself, neither a link nor a pipe: a disk from elsewhere may hold anything.
bool IsPlainFile(const Path& path);
// Makes the folder when absent. kForbidden: something else has its name, for example a link that leads elsewhere.
Status MakePlainFolder(FileSystem& files, const Path& folder);

}  // namespace tributary::bundle
