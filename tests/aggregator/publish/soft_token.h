#pragma once

#include <string>

#include "protocol/trust/seal/signing.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// A PKCS#11 token in a folder of its own (SoftHSM), which this process finds while this lives. Resource type.
class SoftToken {
 public:
  static constexpr const char* kPin = "271828";
  SoftToken();
  ~SoftToken();

  // A token of that label, with kPin.
  void Initialize(const std::string& label) const;
  void Import(const SigningKey& key, const std::string& token, const std::string& label, const std::string& id,
              const std::string& more = "") const;
  void ImportPem(const Path& pem, const std::string& token, const std::string& label, const std::string& id,
                 const std::string& more = "") const;
  Path folder() const { return folder_.path(); }

 private:
  static void Run(const std::string& arguments);
  TemporaryFolder folder_;
};

}  // namespace tributary
