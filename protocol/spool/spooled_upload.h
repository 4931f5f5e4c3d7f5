#pragma once

#include <algorithm>
#include <cstdint>

#include "protocol/base/clock.h"
#include "protocol/base/code.h"
#include "protocol/base/ids.h"
#include "protocol/base/limits.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

enum class UploadState : uint8_t {
  kPartial = 0,   // chunks are missing: the sender has custody, this side only keeps its progress
  kComplete = 1,  // every byte is here and its digest is right
};
constexpr bool IsOneOf(UploadState state) { return state <= UploadState::kComplete; }

// An upload as the spool knows it, without opening its envelope. Value type.
struct SpooledUpload {
  UploadId id;
  UploadKind kind = UploadKind::kUpdate;
  Priority priority = Priority::kUpdate;
  TaskId task;
  ModelVersion base_version{};
  DeviceId device;
  WallTime expires;         // 0: not by wall clock
  uint32_t chunk_size = 0;  // plaintext bytes of every chunk but the last
  uint32_t chunk_count = 0;
  uint64_t ciphertext_size = 0;
  Digest ciphertext_digest;
  UploadState state = UploadState::kPartial;
  uint32_t next_chunk = 0;  // how many chunks are here
  bool in_index = false;    // the payload lives in the index, not in a file
  uint32_t ask = 0;         // which time of asking it answers

  // Where ciphertext chunk `index` stands in the payload, and how many bytes it has.
  uint64_t ChunkOffset(uint32_t index) const { return uint64_t{index} * (chunk_size + limits::kSealTagBytes); }
  size_t ChunkBytes(uint32_t index) const {
    return static_cast<size_t>(std::min(ciphertext_size, ChunkOffset(index + 1)) - ChunkOffset(index));
  }
  // Bytes of the payload that are here, by next_chunk.
  uint64_t StoredBytes() const { return std::min(ciphertext_size, ChunkOffset(next_chunk)); }
  // The room that it takes: what is here, and the one chunk that its sender may send next. What is only announced
  // takes none, so that nobody fills a spool with words.
  uint64_t HeldBytes() const { return std::min(ciphertext_size, ChunkOffset(next_chunk + 1)); }
  bool operator==(const SpooledUpload&) const = default;
};

inline SpooledUpload FactsOf(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  return {.id = subject.id,
          .kind = subject.kind,
          .priority = subject.priority,
          .task = subject.task,
          .base_version = subject.base_version,
          .device = subject.device,
          .expires = subject.expires,
          .chunk_size = subject.chunk_size,
          .chunk_count = subject.chunk_count,
          .ciphertext_size = header.ciphertext_size,
          .ciphertext_digest = header.ciphertext_digest,
          .ask = subject.ask};
}

// The answer to an offer that is not refused. Value type.
struct OfferAnswer {
  // Custody of it, or of the contribution it would make, was taken before: the sender deletes it.
  bool already = false;
  // Else: the first chunk this side wants. It may equal the chunk count: all is here, and custody follows.
  uint32_t next_chunk = 0;
  bool operator==(const OfferAnswer&) const = default;
};

// An update that has left, and is remembered. Value type.
struct DeliveredUpdate {
  ModelVersion base{};
  UploadId upload;
};

// An upload that was given up. Value type.
struct DeadLetter {
  UploadId id = {};
  UploadKind kind = UploadKind::kUpdate;
  TaskId task = {};
  ModelVersion base_version{};
  DeviceId device = {};
  uint64_t bytes = 0;  // its ciphertext
  Code reason{};
  WallTime when = {};
  // Envelope and payload are still here. A payload is freed when its room is needed, and then only this line is left.
  bool kept = false;
  uint64_t bytes_lost = 0;  // of the payload, by damage to the disk

  // Whether Requeue may succeed.
  bool CanRequeue() const { return kept && bytes_lost == 0; }
  bool operator==(const DeadLetter&) const = default;
};

}  // namespace tributary
