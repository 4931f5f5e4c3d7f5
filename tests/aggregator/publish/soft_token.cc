#include "tests/aggregator/publish/soft_token.h"

#include <cstdlib>

#include "tests/support/must.h"

namespace tributary {

SoftToken::SoftToken() {
  Must(RealFileSystem().CreateFolders(folder_ / "tokens"));
  const std::string conf =
      "directories.tokendir = " + (folder_ / "tokens").string() + "\nobjectstore.backend = file\nlog.level = ERROR\n";
  Must(WriteFileAtomically(RealFileSystem(), folder_ / "softhsm2.conf", AsBytes(conf)));
  setenv("SOFTHSM2_CONF", (folder_ / "softhsm2.conf").c_str(), 1);
}

SoftToken::~SoftToken() { unsetenv("SOFTHSM2_CONF"); }

void SoftToken::Initialize(const std::string& label) const {
  Run("--init-token --free --label " + label + " --so-pin 314159 --pin " + kPin);
}

void SoftToken::Import(const SigningKey& key, const std::string& token, const std::string& label, const std::string& id,
                       const std::string& more) const {
  Must(WriteSecretFile(folder_ / "key.pem", key.ToPem()));
  ImportPem(folder_ / "key.pem", token, label, id, more);
}

void SoftToken::ImportPem(const Path& pem, const std::string& token, const std::string& label, const std::string& id,
                          const std::string& more) const {
  Run("--import " + pem.string() + " --token " + token + " --label " + label + " --id " + id + " --pin " + kPin + " " +
      more);
}

void SoftToken::Run(const std::string& arguments) {
  const std::string command = "softhsm2-util " + arguments + " > /dev/null 2>&1";
  const int status = std::system(command.c_str());
  TRIBUTARY_CHECK(status == 0) << command << " ended with " << status << "; is softhsm2 installed?";
}

}  // namespace tributary
