#include "tests/protocol/trust/identity/openssl_command.h"

#include <cstdio>

#include "protocol/base/result.h"

namespace tributary {

OpensslAnswer Openssl(const std::string& arguments) {
  FILE* pipe = popen(("openssl " + arguments + " 2>&1").c_str(), "r");
  TRIBUTARY_CHECK(pipe != nullptr);
  OpensslAnswer answer;
  char part[512];
  for (size_t got; (got = fread(part, 1, sizeof(part), pipe)) > 0;) answer.text.append(part, got);
  answer.succeeded = pclose(pipe) == 0;
  return answer;
}

}  // namespace tributary
