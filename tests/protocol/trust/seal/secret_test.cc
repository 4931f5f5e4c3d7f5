#include "protocol/trust/seal/secret.h"

#include <cstdlib>
#include <new>
#include <sstream>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "protocol/base/log.h"

namespace tributary::secret_test {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_assignable_v<SecretBytes>);
static_assert(!std::is_convertible_v<SecretBytes, ByteView> && !std::is_convertible_v<SecretBytes, std::string>);
static_assert(!std::is_constructible_v<LogField, const char*, SecretBytes>);
template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Printable<SecretBytes>);

// The content of the block that was freed last, among blocks of `kProbeBytes`. The probe reads before the memory is
// given back.
constexpr size_t kProbeBytes = 1237;
bool probing = false;
int freed_blocks = 0;
int dirty_blocks = 0;

void Inspect(const void* block) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  ++freed_blocks;
  for (size_t i = 0; i < kProbeBytes; ++i) {
    if (bytes[i] != 0) {
      ++dirty_blocks;
      return;
    }
  }
}

class Probe {
 public:
  Probe() {
    freed_blocks = dirty_blocks = 0;
    probing = true;
  }
  ~Probe() { probing = false; }
};

Bytes Filled() { return Bytes(kProbeBytes, 0xa5); }

TEST(SecretBytes, WipesWhenDestroyed) {
  const Probe probe;
  { const SecretBytes secret(Filled()); }
  EXPECT_EQ(freed_blocks, 1);
  EXPECT_EQ(dirty_blocks, 0);
}

TEST(SecretBytes, TheProbeSeesWhatAnOrdinaryVectorLeaves) {
  const Probe probe;
  {
    const Bytes plain = Filled();
    asm volatile("" : : "r"(plain.data()) : "memory");  // or the compiler leaves out stores that nobody reads
  }
  EXPECT_EQ(freed_blocks, 1);
  EXPECT_EQ(dirty_blocks, 1);
}

TEST(SecretBytes, WipesWhatAssignmentReplaces) {
  const Probe probe;
  SecretBytes secret(Filled());
  secret = SecretBytes(size_t{4});
  EXPECT_EQ(freed_blocks, 1);
  EXPECT_EQ(dirty_blocks, 0);
  EXPECT_EQ(secret.size(), 4u);
}

TEST(SecretBytes, WipesWhatAShrunkVectorLeftBehind) {
  const Probe probe;
  {
    Bytes bytes = Filled();
    bytes.resize(3);
    const SecretBytes secret(std::move(bytes));
  }
  EXPECT_EQ(freed_blocks, 1);
  EXPECT_EQ(dirty_blocks, 0);
}

TEST(SecretBytes, MovingLeavesNothingBehind) {
  SecretBytes first = SecretBytes::CopyOf(AsBytes("key"));
  const SecretBytes second = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): this is what is tested
  EXPECT_EQ(AsText(second.RevealForUse()), "key");
}

TEST(EqualInConstantTime, ComparesBytesAndSizes) {
  EXPECT_TRUE(EqualInConstantTime(AsBytes("abc"), AsBytes("abc")));
  EXPECT_FALSE(EqualInConstantTime(AsBytes("abc"), AsBytes("abd")));
  EXPECT_FALSE(EqualInConstantTime(AsBytes("abc"), AsBytes("abcd")));
  EXPECT_TRUE(EqualInConstantTime({}, {}));
}

}  // namespace

// Called by the replaced operator below, which must stand outside the namespace.
void InspectFreed(void* block, size_t size) {
  if (probing && size == kProbeBytes) Inspect(block);
}

}  // namespace tributary::secret_test

// Replaced for this binary, so that memory can be read at the moment it is given back. Vectors free with their size.
void* operator new(std::size_t size) {
  if (void* block = std::malloc(size > 0 ? size : 1)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t size) noexcept {
  tributary::secret_test::InspectFreed(block, size);
  std::free(block);
}
