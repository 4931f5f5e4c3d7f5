#pragma once

namespace tributary {

// Whether a sanitizer watches this build: it keeps freed memory for a while and takes time and memory of its own, so
// that figures mean nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace tributary
