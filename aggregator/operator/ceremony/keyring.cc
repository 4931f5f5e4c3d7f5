#include "aggregator/operator/ceremony/keyring.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

#include "aggregator/publish/key_token_signer.h"

namespace tributary {
namespace {

constexpr int kPassphraseTries = 3;
constexpr size_t kLongestSecret = 1024;

// Keeps the terminal's echo off while it lives.
class QuietTerminal {
 public:
  QuietTerminal() : descriptor_(isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -1) {
    if (tcgetattr(descriptor_.get(), &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet_ = tcsetattr(descriptor_.get(), TCSAFLUSH, &quiet) == 0;
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() {
    if (quiet_) tcsetattr(descriptor_.get(), TCSAFLUSH, &before_);
  }
  bool quiet() const { return quiet_; }

  void Write(const std::string& text) const {
    // If the question cannot be shown, no answer comes, and ReadLine tells that.
    [[maybe_unused]] const ssize_t written = write(descriptor_.get(), text.data(), text.size());
  }
  Result<SecretBytes> ReadLine() const {
    SecretBytes line(kLongestSecret);
    const ssize_t got = read(descriptor_.get(), line.RevealForFilling().data(), line.size());
    if (got <= 0) return Fail(Code::kUnauthorized, "no answer came from the terminal");
    ByteView answer = line.RevealForUse().first(static_cast<size_t>(got));
    if (answer.back() == '\n') answer = answer.first(answer.size() - 1);
    return SecretBytes::CopyOf(answer);
  }

 private:
  Descriptor descriptor_;  // none: there is no terminal
  termios before_{};
  bool quiet_ = false;
};

// A line from the terminal, not shown. kUnauthorized: there is no terminal to ask.
Result<SecretBytes> AskSecret(const std::string& question) {
  const QuietTerminal terminal;
  if (!terminal.quiet()) {
    return Fail(Code::kUnauthorized, "{} is wanted, and there is no terminal to ask; give --passphrase-file", question);
  }
  terminal.Write(question + ": ");
  auto answer = terminal.ReadLine();
  terminal.Write("\n");
  return answer;
}

}  // namespace

Result<SecretBytes> Keyring::FromFile() const {
  if (passphrase_file_.empty()) return SecretBytes();
  ASSIGN_OR_RETURN(SecretBytes text, ReadSecretFile(passphrase_file_));
  const ByteView all = text.RevealForUse();
  const auto end = std::ranges::find(all, static_cast<uint8_t>('\n'));
  const ByteView line = all.first(static_cast<size_t>(end - all.begin()));
  if (line.empty()) return Fail(Code::kInvalidArgument, "{}: its first line is empty", passphrase_file_.string());
  return SecretBytes::CopyOf(line);
}

Result<Signer*> Keyring::Open(const std::string& where) {
  ASSIGN_OR_RETURN(const SecretBytes given, FromFile());
  auto signer = OpenSigner(where, given);
  for (int i = 0; i < kPassphraseTries && !signer && signer.error().code == Code::kUnauthorized; ++i) {
    auto asked = AskSecret("Passphrase or PIN of " + where);
    if (!asked) break;  // the signer's error says more than that of the missing terminal
    signer = OpenSigner(where, *asked);
  }
  if (!signer) return Fail(signer.error());
  return signers_.emplace_back(std::move(*signer)).get();
}

Result<Signer*> Keyring::Create(const Path& file) {
  const Path path = new_keys_ / file;
  ASSIGN_OR_RETURN(SecretBytes passphrase, FromFile());
  if (passphrase.empty() && protect_) {
    ASSIGN_OR_RETURN(passphrase, AskSecret("New passphrase of " + path.string()));
    ASSIGN_OR_RETURN(const SecretBytes again, AskSecret("The same again"));
    if (passphrase.empty() || !EqualInConstantTime(passphrase.RevealForUse(), again.RevealForUse())) {
      return Fail(Code::kInvalidArgument, "the two passphrases differ, or are empty; no key was made");
    }
  }
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(path.parent_path().empty() ? Path(".") : path.parent_path()));
  ASSIGN_OR_RETURN(auto signer, CreateSignerFile(path, passphrase));
  return signers_.emplace_back(std::move(signer)).get();
}

Result<Bytes> Keyring::PublicKey(const std::string& named, std::vector<const Signer*>& opened) {
  if (auto bytes = FromHex(named); bytes && bytes->size() == kSigningPublicKeyBytes) return std::move(*bytes);
  ASSIGN_OR_RETURN(Signer* const signer, Open(named));
  opened.push_back(signer);
  return signer->public_key();
}

}  // namespace tributary
