// Claim: each codec encodes and decodes an update of the demo's CNN at a rate, in bytes of float32, that is the stated
// part of memcpy's over the same values. An encoder draws 4 random bytes for each value that it rounds. And the bytes
// that travel up for it, with header, signature, a chain of 600 bytes and tags, are the stated part of float32's; so
// are those that travel down for a version.

#include <cmath>
#include <cstring>
#include <tuple>

#include "bench/claim.h"
#include "bench/sealed_update.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/version_codec.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kParameters = 215'370;

struct Line {
  Codec codec;
  double encode;  // of memcpy's rate
  double decode;
  double size;  // of float32's bytes
};
constexpr Line kLines[] = {
    {Codec::kFloat16, 0.005, 0.03, 0.501}, {Codec::kBfloat16, 0.005, 0.03, 0.501}, {Codec::kBlock8, 0.004, 0.02, 0.26},
    {Codec::kBlock4, 0.004, 0.01, 0.142},  {Codec::kEden1, 0.003, 0.005, 0.035},   {Codec::kEden2, 0.003, 0.005, 0.066},
    {Codec::kEden4, 0.002, 0.005, 0.129},  {Codec::kTop5, 0.002, 0.01, 0.047},     {LinearCodec(8), 0.003, 0.005, 0.26},
    {LinearCodec(4), 0.003, 0.005, 0.135},
};

UpdateFormat FormatOf(Codec codec, double norm) {
  UpdateFormat format(codec);
  if (!IsLinear(codec)) return format;
  const LinearForm form(kParameters, {});
  format.linear = {Digest{}, LinearStep(norm, form.coordinates(), LinearBits(codec), 40), 1e9, 1e9};
  return format;
}

double BytesUp(const Bytes& plaintext) {
  static const HpkeKeyPair recipient = GenerateHpkeKeyPair();
  const SealedUpload sealed = Must(SealForBench(plaintext, 1, recipient.public_key));
  return static_cast<double>(sealed.envelope.size() + sealed.header.ciphertext_size);
}

void Measure() {
  const std::vector<float> values = SomeUpdate(kParameters);
  const double norm = 0.6 * std::sqrt(static_cast<double>(kParameters));
  std::vector<float> copy(values.size());
  SystemRandom random;
  constexpr int kRepeats = 10;
  const double amount = kRepeats * static_cast<double>(values.size() * sizeof(float)) / 1e9;
  const auto copies = [&] {
    for (int i = 0; i < kRepeats; ++i) {
      std::memcpy(copy.data(), values.data(), values.size() * sizeof(float));
      asm volatile("" : : "r"(copy.data()) : "memory");  // the copy is looked at
    }
  };
  const UpdateMeta meta{.weight = 600, .parameter_count = kParameters};
  const double whole = BytesUp(Must(EncodeUpdate(Codec::kFloat32Dense, meta, values)));
  for (const auto& [codec, encode, decode, size] : kLines) {
    const UpdateFormat format = FormatOf(codec, norm);
    const std::string name = CodecName(codec);
    Bytes plaintext;
    const Rates encoding = Compare(
        Measured::kThreadTime, 7, amount,
        [&] {
          for (int i = 0; i < kRepeats; ++i) plaintext = Must(EncodeUpdate(format, meta, values, &random));
        },
        copies);
    Print({"encode " + name + ", of memcpy", encoding.ours, "GB/s", encoding.limit, encode});
    const Rates decoding = Compare(
        Measured::kThreadTime, 7, amount,
        [&] {
          for (int i = 0; i < kRepeats; ++i) Must(DecodeUpdate(format, plaintext));
        },
        copies);
    Print({"decode " + name + ", of memcpy", decoding.ours, "GB/s", decoding.limit, decode});
    Print({"bytes up, " + name, BytesUp(plaintext), "bytes", whole, size, Wanted::kAtMost});
  }
}

void MeasureDown() {
  TensorTable table;
  table.tensors = {{"w", {static_cast<int64_t>(kParameters)}, 0, kParameters}};
  const std::vector<float> base = SomeUpdate(kParameters, 1), next = SomeUpdate(kParameters, 2);
  const double whole = static_cast<double>(base.size() * sizeof(float));
  for (const auto& [codec, name, most] :
       {std::tuple(VersionCodec::kFloat16, "float16", 0.501), std::tuple(VersionCodec::kBlock8, "block8", 0.26)}) {
    const CompactVersion made = Must(RoundVersion(codec, table, base, next, Digest{}));
    Print({std::string("bytes down, ") + name, static_cast<double>(made.bytes.size()), "bytes", whole, most,
           Wanted::kAtMost});
  }
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::Measure();
  tributary::bench::MeasureDown();
}
