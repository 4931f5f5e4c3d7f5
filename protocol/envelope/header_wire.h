#pragma once

#include "protocol/envelope/envelope.h"

// The header's canonical bytes, for the .cc files of this folder.
namespace tributary {

Bytes EncodeHeader(const UploadHeader& header);
Bytes EncodeSubject(const UploadSubject& subject);

// Form and limits. Errors: kMalformed, kTooLarge, kUnknownKind, kUnknownCodec. There is one form: a header that says
// the same with other bytes (unknown fields too, since the chunks are bound to the bytes of the fields known here) is
// malformed.
Result<UploadHeader> DecodeHeader(ByteView bytes);

// How many chunks of at most `chunk_size` (not 0) hold `plaintext_size` bytes; at least 1.
uint64_t ChunksFor(uint64_t plaintext_size, uint32_t chunk_size);

// What ParseEnvelope refuses, asked before anything is sealed as well. kTooLarge, kMalformed, kUnknownKind,
// kUnknownCodec.
Status CheckSubject(const UploadSubject& subject);

}  // namespace tributary
