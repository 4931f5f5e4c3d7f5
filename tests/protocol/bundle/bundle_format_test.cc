#include "protocol/bundle/bundle_format.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::bundle_format_test {
namespace {

std::string Outcome(ByteView head) {
  const auto size = bundle::ParseUploadHead(head);
  return size ? std::to_string(*size) : std::string(Name(size.error().code));
}

TEST(BundleFormat, AnUploadBeginsAsTheHeaderShowsIt) {
  EXPECT_EQ(ToHex(bundle::UploadHead(612)),
            "545249425550"
            "4c44"
            "01000000"
            "64020000");
  EXPECT_EQ(Outcome(bundle::UploadHead(612)), "612");
}

TEST(BundleFormat, WhatIsNoHeadIsRefused) {
  EXPECT_EQ(Outcome({}), "malformed");
  EXPECT_EQ(Outcome(ByteView(bundle::UploadHead(612)).first(15)), "malformed");
  Bytes other = bundle::UploadHead(612);
  other[0] = 'X';
  EXPECT_EQ(Outcome(other), "malformed");
  other = bundle::UploadHead(612);
  other[8] = 2;
  EXPECT_EQ(Outcome(other), "version-unsupported");
  EXPECT_EQ(Outcome(bundle::UploadHead(0)), "malformed");
  EXPECT_EQ(Outcome(bundle::UploadHead(limits::kEnvelopeBytes)), std::to_string(limits::kEnvelopeBytes));
  EXPECT_EQ(Outcome(bundle::UploadHead(limits::kEnvelopeBytes + 1)), "too-large");
  EXPECT_EQ(Outcome(bundle::UploadHead(0xffffffff)), "too-large");
}

TEST(BundleFormat, AnUploadHasOneName) {
  const UploadId id = Must(UploadId::FromHex("00112233445566778899aabbccddeeff"));
  EXPECT_EQ(bundle::UploadName(id), "00112233445566778899aabbccddeeff.upload");
  EXPECT_EQ(bundle::UploadOfName("00112233445566778899aabbccddeeff.upload"), id);
  for (const char* name : {"", ".upload", "00112233445566778899AABBCCDDEEFF.upload", "0011.upload",
                           "00112233445566778899aabbccddeeff.upload.part", "00112233445566778899aabbccddeefg.upload"}) {
    EXPECT_EQ(bundle::UploadOfName(name), std::nullopt) << name;
  }
}

TEST(BundleFormat, ALinkIsNeitherAFileNorAFolderOfTheBundle) {
  const TemporaryFolder elsewhere;
  const TemporaryFolder disk;
  Must(WriteFileAtomically(RealFileSystem(), elsewhere / "file", AsBytes("text")));
  std::filesystem::create_symlink(elsewhere / "file", disk / "file");
  std::filesystem::create_directory_symlink(elsewhere.path(), disk / "receipts");
  EXPECT_TRUE(bundle::IsPlainFile(elsewhere / "file"));
  EXPECT_FALSE(bundle::IsPlainFile(disk / "file"));
  EXPECT_FALSE(bundle::IsPlainFile(disk / "nothing"));
  const Status made = bundle::MakePlainFolder(RealFileSystem(), disk / "receipts");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kForbidden);
  EXPECT_TRUE(bundle::MakePlainFolder(RealFileSystem(), disk / "blobs"));
  EXPECT_TRUE(bundle::MakePlainFolder(RealFileSystem(), disk / "blobs"));
}

}  // namespace
}  // namespace tributary::bundle_format_test
