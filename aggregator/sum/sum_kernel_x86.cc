#include "aggregator/sum/sum_kernel_x86.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cmath>

#define TRIBUTARY_AVX2 __attribute__((target("avx2")))
#define TRIBUTARY_AVX512 __attribute__((target("avx512f,avx512dq")))

namespace tributary {
namespace {

// Whole groups of lanes go through the registers. The rest begins at lane 0 again, and the scalar kernel adds it.
size_t WholeLanes(size_t count) { return count / kSquareLanes * kSquareLanes; }

// ---- AVX2: four doubles per register, so four registers hold the lanes.

struct Avx2Quad {
  __m256d within;  // all bits set where the value is within the bound
  __m256d value;
};

TRIBUTARY_AVX2 inline Avx2Quad TakeQuad(const float* from, __m256d bound, __m256d& squares, __m256d& all_within) {
  const __m256d value = _mm256_cvtps_pd(_mm_loadu_ps(from));
  const __m256d magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), value);
  const __m256d within = _mm256_cmp_pd(magnitude, bound, _CMP_LE_OQ);
  squares = _mm256_add_pd(squares, _mm256_mul_pd(value, value));
  all_within = _mm256_and_pd(all_within, within);
  return {within, value};
}

// The low 64 bits of the products: AVX2 multiplies only 32 by 32 bits.
TRIBUTARY_AVX2 inline __m256i Multiply64(__m256i a, __m256i b, __m256i b_high) {
  const __m256i low = _mm256_mul_epu32(a, b);
  const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b), _mm256_mul_epu32(a, b_high));
  return _mm256_add_epi64(low, _mm256_slli_epi64(cross, 32));
}

// Adding 1.5 * 2^52 leaves a double of magnitude up to 2^51 rounded to nearest even in the low bits of its
// representation.
constexpr double kRounder = 0x1.8p52;
constexpr double kRounderReach = 0x1p51;

TRIBUTARY_AVX2 bool AddAvx2(std::span<const float> values, const SumKernel::Terms& terms, SquareLanes& squares,
                            int64_t* sum) {
  const double scale = std::ldexp(1.0, terms.fraction_bits);
  if (!(terms.bound * scale <= kRounderReach)) return AddScalar(values, terms, squares, sum);
  const size_t whole = WholeLanes(values.size());
  const __m256d bounds = _mm256_set1_pd(terms.bound), scales = _mm256_set1_pd(scale);
  const __m256d rounder = _mm256_set1_pd(kRounder);
  const __m256i weight = _mm256_set1_epi64x(terms.weight), weight_high = _mm256_srli_epi64(weight, 32);
  __m256d all_within = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
  __m256d lanes[4];
  for (size_t k = 0; k < 4; ++k) lanes[k] = _mm256_loadu_pd(&squares[4 * k]);
  for (size_t i = 0; i < whole; i += kSquareLanes) {
    for (size_t k = 0; k < 4; ++k) {
      const Avx2Quad quad = TakeQuad(&values[i + 4 * k], bounds, lanes[k], all_within);
      const __m256d rounded = _mm256_add_pd(_mm256_mul_pd(_mm256_and_pd(quad.value, quad.within), scales), rounder);
      const __m256i fixed = _mm256_sub_epi64(_mm256_castpd_si256(rounded), _mm256_castpd_si256(rounder));
      auto* to = reinterpret_cast<__m256i*>(sum + i + 4 * k);
      _mm256_storeu_si256(to, _mm256_add_epi64(_mm256_loadu_si256(to), Multiply64(fixed, weight, weight_high)));
    }
  }
  for (size_t k = 0; k < 4; ++k) _mm256_storeu_pd(&squares[4 * k], lanes[k]);
  const bool rest = AddScalar(values.subspan(whole), terms, squares, sum + whole);
  return rest && _mm256_movemask_pd(all_within) == 0xf;
}

// ---- AVX-512: eight doubles per register, so two registers hold the lanes.

struct Avx512Octet {
  __mmask8 within;
  __m512d value;
};

TRIBUTARY_AVX512 inline Avx512Octet TakeOctet(const float* from, __m512d bound, __m512d& squares,
                                              __mmask8& all_within) {
  const __m512d value = _mm512_cvtps_pd(_mm256_loadu_ps(from));
  const __mmask8 within = _mm512_cmp_pd_mask(_mm512_abs_pd(value), bound, _CMP_LE_OQ);
  squares = _mm512_add_pd(squares, _mm512_mul_pd(value, value));
  all_within &= within;
  return {within, value};
}

TRIBUTARY_AVX512 inline void AddOctet(const Avx512Octet& octet, __m512d scale, __m512i weight, int64_t* to) {
  const __m512i fixed = _mm512_maskz_cvtpd_epi64(octet.within, _mm512_mul_pd(octet.value, scale));
  _mm512_storeu_si512(to, _mm512_add_epi64(_mm512_loadu_si512(to), _mm512_mullo_epi64(fixed, weight)));
}

TRIBUTARY_AVX512 bool AddAvx512(std::span<const float> values, const SumKernel::Terms& terms, SquareLanes& squares,
                                int64_t* sum) {
  const size_t whole = WholeLanes(values.size());
  const __m512d bounds = _mm512_set1_pd(terms.bound), scale = _mm512_set1_pd(std::ldexp(1.0, terms.fraction_bits));
  const __m512i weight = _mm512_set1_epi64(terms.weight);
  __mmask8 all_within = 0xff;
  __m512d low = _mm512_loadu_pd(&squares[0]), high = _mm512_loadu_pd(&squares[8]);
  for (size_t i = 0; i < whole; i += kSquareLanes) {
    AddOctet(TakeOctet(&values[i], bounds, low, all_within), scale, weight, sum + i);
    AddOctet(TakeOctet(&values[i + 8], bounds, high, all_within), scale, weight, sum + i + 8);
  }
  _mm512_storeu_pd(&squares[0], low);
  _mm512_storeu_pd(&squares[8], high);
  const bool rest = AddScalar(values.subspan(whole), terms, squares, sum + whole);
  return rest && all_within == 0xff;
}

}  // namespace

void AppendX86SumKernels(std::vector<SumKernel>& kernels) {
  if (__builtin_cpu_supports("avx2")) kernels.push_back({"avx2", AddAvx2});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    kernels.push_back({"avx512", AddAvx512});
  }
}

}  // namespace tributary

#else

namespace tributary {

void AppendX86SumKernels(std::vector<SumKernel>&) {}

}  // namespace tributary

#endif
