#pragma once

#include <array>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "protocol/base/file.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// Runs a script with Debian's Python, which has PyTorch 1.13, in `folder`; what it printed.
inline std::string RunPython(const TemporaryFolder& folder, const std::string& script) {
  EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "script.py", AsBytes(script)));
  const std::string command = "cd '" + folder.path().string() + "' && /usr/bin/python3 script.py 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> piece;
  for (size_t got; (got = fread(piece.data(), 1, piece.size(), pipe)) > 0;) text.append(piece.data(), got);
  EXPECT_EQ(pclose(pipe), 0) << text;
  return text;
}

}  // namespace tributary
