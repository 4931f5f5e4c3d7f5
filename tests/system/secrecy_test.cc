#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "protocol/trust/seal/signing.h"
#include "tests/support/raw_session.h"
#include "tests/support/sanitized.h"
#include "tests/system/files_contain.h"
#include "tests/system/synthetic_site.h"

// A gateway sees nothing of an update: its files and its memory are searched for planted bytes.
namespace tributary::secrecy_test {
namespace {

using testing::HasSubstr;
using testing::Not;

// 16 bytes over and over: whatever part of the plaintext lies about, however aligned, holds them.
constexpr float kMarker[4] = {0.0012345678f, -0.0087654321f, 0.0031415926f, -0.0027182818f};
std::string MarkerBytes() { return std::string(AsText(AsBytes(std::span<const float>(kMarker)))); }

SyntheticUpdate Planted(uint64_t parameters) {
  SyntheticUpdate update;
  update.weight = 7;
  for (uint64_t i = 0; i < parameters; ++i) update.delta.push_back(kMarker[i % 4]);
  return update;
}

struct Memory {
  std::vector<std::string> regions;
  size_t bytes = 0;
  bool Contains(std::string_view needle) const {
    return std::ranges::any_of(regions,
                               [&](const std::string& region) { return region.find(needle) != std::string::npos; });
  }
};

constexpr uint64_t kShadow = uint64_t{1} << 30;

// Everything readable in the process's address space, as it is now.
Memory MemoryOf(pid_t pid) {
  Memory memory;
  const Path process = Path("/proc") / std::to_string(pid);
  const int descriptor = open((process / "mem").c_str(), O_RDONLY | O_CLOEXEC);
  TRIBUTARY_CHECK(descriptor >= 0) << "cannot read the memory of process " << pid;
  std::ifstream maps(process / "maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0, end = 0;
    char readable = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %c", &begin, &end, &readable) != 3 || readable != 'r') continue;
    // Only a sanitizer's shadow is so large, and it holds no bytes of the program.
    if (end - begin > kShadow) {
      TRIBUTARY_CHECK(kSanitized) << line;
      continue;
    }
    std::string region(end - begin, '\0');
    const ssize_t got = pread(descriptor, region.data(), region.size(), static_cast<off_t>(begin));
    if (got <= 0) continue;  // the kernel's own pages
    region.resize(static_cast<size_t>(got));
    memory.bytes += region.size();
    memory.regions.push_back(std::move(region));
  }
  close(descriptor);
  return memory;
}

TEST(Secrecy, AGatewayHoldsNoPlaintextInFilesOrMemory) {
  constexpr uint64_t kParameters = 65'536;  // 256 KiB: a payload file
  constexpr uint64_t kSmall = 4'096;        // 16 KiB: a row of the index
  SyntheticSite site;
  site.AddAndStartGateway("gateway-1");
  site.CreateTask(kParameters, 2);
  Must(site.api().StartRounds("synthetic", 1));
  SyntheticDevice& device = site.AddDevice(0, "gateway-1");
  ASSERT_TRUE(device.AwaitVersion(1)) << site.Logs();
  const Publication publication = device.publication();
  site.site().Kill("aggregator");

  SealedUpload large = SealSynthetic(Planted(kParameters), publication, device.identity(), 64 * limits::kKiB);
  const std::string large_ciphertext(AsText(ByteView(large.chunks.at(2)).first(64)));
  ASSERT_EQ(large.chunks.size(), 5u);
  device.Give(std::move(large));
  ASSERT_TRUE(device.AwaitCustody()) << site.Logs();
  const Identity other = site.site().fleet().Issue(Role::kDevice, "d1");
  RawSession session(site.thread(), other, site.site().AddressOf("gateway-1"));
  ASSERT_EQ(session.Greet(), "welcome");
  const SealedUpload small = SealSynthetic(Planted(kSmall), publication, other, limits::kMinChunkBytes);
  ASSERT_EQ(session.Upload(small.envelope, small.chunks), "custody");

  const Path data = site.site().DataOf("gateway-1");
  const Memory memory = MemoryOf(site.site().PidOf("gateway-1"));
  EXPECT_FALSE(FilesContain(data, MarkerBytes()));
  EXPECT_FALSE(memory.Contains(MarkerBytes()));

  // The same search finds what is there: the ciphertexts, and in memory the gateway's own configuration.
  EXPECT_TRUE(FilesContain(data, large_ciphertext));
  EXPECT_TRUE(FilesContain(data, AsText(ByteView(small.chunks.at(1)).first(64))));
  EXPECT_TRUE(memory.Contains(site.site().AddressOf("gateway-1").endpoint));
  EXPECT_GT(memory.bytes, limits::kMiB);
  // And it would find the marker, where the plaintext is.
  const std::vector<float> plain = Planted(kSmall).delta;
  EXPECT_TRUE(MemoryOf(getpid()).Contains(MarkerBytes())) << plain.size();

  // Nor does it have the key: not as a file, not as bytes.
  const Path keys = site.site().DataOf("aggregator") / "sealing";
  Path key_file;
  for (const auto& entry : std::filesystem::directory_iterator(keys)) {
    if (entry.path().extension() == ".key") key_file = entry.path();
  }
  const SecretBytes key_text = Must(ReadSecretFile(key_file));
  const std::string hex(AsText(key_text.RevealForUse()).substr(0, 64));
  const Bytes raw = Must(FromHex(hex));
  const Path gateway = site.site().folder() / "gateway-1";
  EXPECT_TRUE(FilesContain(key_file.parent_path(), hex));
  EXPECT_FALSE(FilesContain(gateway, hex));
  EXPECT_FALSE(FilesContain(gateway, AsText(raw)));
  EXPECT_FALSE(memory.Contains(hex));
  EXPECT_FALSE(memory.Contains(AsText(raw)));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(gateway)) {
    EXPECT_NE(entry.path().filename(), "sealing");
  }
}

TEST(Secrecy, TheProgramsLinkOnlyWhatTheyMayHave) {
  SyntheticSite site;
  const auto symbols = [](const std::string& program) {
    return std::string(AsText(Must(ReadFile(RealFileSystem(), Path(TRIBUTARY_BIN_DIR) / program, uint64_t{1} << 31))));
  };
  EXPECT_THAT(symbols("tributary-gateway"), Not(HasSubstr("HpkeOpener")));
  EXPECT_THAT(symbols("tributary-gateway"), Not(HasSubstr("UploadOpener")));
  EXPECT_THAT(symbols("tributary-aggregator"), HasSubstr("HpkeOpener"));  // the search finds it where it is
  for (const std::string program : {"tributary-gateway", "tributary-aggregator", "tributary", "tributary-device"}) {
    const Ended ldd = site.site().Run("/usr/bin/ldd", {(Path(TRIBUTARY_BIN_DIR) / program).string()});
    EXPECT_EQ(ldd.code, 0) << ldd.output;
    EXPECT_THAT(ldd.output, Not(HasSubstr("libtorch"))) << program;
    EXPECT_THAT(ldd.output, Not(HasSubstr("libc10"))) << program;
    EXPECT_THAT(ldd.output, HasSubstr("libc.so")) << program;
  }
}

}  // namespace
}  // namespace tributary::secrecy_test
