#pragma once

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/base/file.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// Runs `arguments` of Debian's Python in `folder`; what it printed. The package python3-torch is on the list of what the tests
// need, so a test that calls this fails where it is missing.
inline std::string RunPython(const Path& folder, const std::string& arguments) {
  const std::string command = "cd '" + folder.string() + "' && /usr/bin/python3 " + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> piece;
  for (size_t got; (got = fread(piece.data(), 1, piece.size(), pipe)) > 0;) text.append(piece.data(), got);
  EXPECT_EQ(pclose(pipe), 0) << text;
  return text;
}

// The same of a script that is written there.
inline std::string RunPython(const TemporaryFolder& folder, const std::string& script) {
  EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "script.py", AsBytes(script)));
  return RunPython(folder.path(), "script.py");
}

template <class T>
std::vector<T> ReadValues(const Path& file) {
  const Bytes bytes = ReadFile(RealFileSystem(), file, 1 << 28).value();
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace tributary
