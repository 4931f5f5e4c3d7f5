#pragma once

#include <string>

namespace tributary {

// The words of the operator's own tool: `openssl ARGUMENTS`, both outputs, and whether it succeeded.
struct OpensslAnswer {
  bool succeeded = false;
  std::string text;
};
OpensslAnswer Openssl(const std::string& arguments);

}  // namespace tributary
