#include "protocol/trust/seal/signing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "protocol/trust/seal/native_key.h"

namespace tributary {
namespace {

using Bio = Owned<BIO, BIO_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;

// A key or token is far smaller.
constexpr size_t kSecretFileBytes = size_t{64} * 1024;

EVP_PKEY* Handle(const SigningKey& key) { return static_cast<EVP_PKEY*>(key.native()); }

std::shared_ptr<void> Own(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

// A memory BIO wipes its buffer when it grows and when it is freed.
SecretBytes Contents(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return SecretBytes::CopyOf({reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size)});
}

// An encrypted PEM is refused: without this OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

tl::unexpected<Error> FailErrno(const char* what, const Path& path) {
  const int error = errno;
  return Fail(error == ENOENT   ? Code::kNotFound
              : error == EACCES ? Code::kPermissions
                                : Code::kIo,
              "{} {}: {}", what, path.string(), std::strerror(error));
}

Status CheckSecretFile(const struct stat& status, const Path& path) {
  if (!S_ISREG(status.st_mode)) return Fail(Code::kPermissions, "{} is not a plain file", path.string());
  if (status.st_uid != geteuid()) {
    return Fail(Code::kPermissions, "{} belongs to user {}, not to {}", path.string(), status.st_uid, geteuid());
  }
  if ((status.st_mode & 077) != 0) {
    return Fail(Code::kPermissions, "{} has mode {:04o}; a secret's must be 0600", path.string(),
                status.st_mode & 07777);
  }
  if (static_cast<uint64_t>(status.st_size) <= kSecretFileBytes) return {};
  return Fail(Code::kTooLarge, "{} has {} bytes, the limit is {}", path.string(), status.st_size, kSecretFileBytes);
}

// OWASP's parameters for scrypt with as much memory (128 · r · N = 16 MiB) as OpenSSL takes when it reads a key.
constexpr uint64_t kScryptN = 1 << 14;
constexpr uint64_t kScryptR = 8;
constexpr uint64_t kScryptP = 5;
constexpr int kSaltBytes = 16;
// A PKCS#8 block says with this name that it is encrypted (RFC 7468 section 11).
constexpr std::string_view kEncryptedMark = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

// OpenSSL asks through this; without it, on the terminal.
int GivePassphrase(char* buffer, int size, int, void* user) {
  const ByteView passphrase = static_cast<const SecretBytes*>(user)->RevealForUse();
  if (static_cast<size_t>(size) < passphrase.size()) return -1;
  std::ranges::copy(passphrase, buffer);
  return static_cast<int>(passphrase.size());
}

class FileSigner final : public Signer {
 public:
  explicit FileSigner(SigningKey key) : key_(std::move(key)), public_key_(key_.public_key()) {}
  const Bytes& public_key() const override { return public_key_; }
  Result<Bytes> Sign(ByteView message) const override { return key_.Sign(message); }

 private:
  SigningKey key_;
  Bytes public_key_;
};

}  // namespace

SigningKey SigningKey::Generate() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  TRIBUTARY_CHECK(key != nullptr);
  return SigningKey(Own(key));
}

Result<SigningKey> SigningKey::FromPem(const SecretBytes& pem) {
  if (pem.size() > kSecretFileBytes) return Fail(Code::kMalformed, "not an Ed25519 private key in PEM: too long");
  const Bio bio(BIO_new_mem_buf(pem.RevealForUse().data(), static_cast<int>(pem.size())));
  EVP_PKEY* key = bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr) : nullptr;
  auto native = Own(key);
  if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    ERR_clear_error();
    return Fail(Code::kMalformed, "not an Ed25519 private key in PEM (PKCS#8, without passphrase)");
  }
  return SigningKey(std::move(native));
}

SecretBytes SigningKey::ToPem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  TRIBUTARY_CHECK(bio &&
                  PEM_write_bio_PKCS8PrivateKey(bio.get(), Handle(*this), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return Contents(bio);
}

Result<SigningKey> SigningKey::FromPem(const SecretBytes& pem, const SecretBytes& passphrase) {
  const std::string_view text = AsText(pem.RevealForUse());
  if (text.find(kEncryptedMark) == std::string_view::npos) return FromPem(pem);
  if (passphrase.empty()) return Fail(Code::kUnauthorized, "the key is encrypted: its passphrase is needed");
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  EVP_PKEY* key = bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase,
                                                const_cast<void*>(static_cast<const void*>(&passphrase)))
                      : nullptr;
  ERR_clear_error();
  auto native = Own(key);
  if (!key) return Fail(Code::kUnauthorized, "the passphrase is not the key's, or the file is damaged");
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    return Fail(Code::kMalformed, "not an Ed25519 private key in PEM (PKCS#8)");
  }
  return SigningKey(std::move(native));
}

SecretBytes SigningKey::ToPem(const SecretBytes& passphrase) const {
  TRIBUTARY_CHECK(!passphrase.empty());
  const Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> plain(EVP_PKEY2PKCS8(Handle(*this)));
  X509_ALGOR* scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, kSaltBytes, nullptr, kScryptN, kScryptR,
                                             kScryptP);  // its salt is random
  TRIBUTARY_CHECK(plain && scheme);
  const ByteView secret = passphrase.RevealForUse();
  const Owned<X509_SIG, X509_SIG_free> sealed(PKCS8_set0_pbe(reinterpret_cast<const char*>(secret.data()),
                                                             static_cast<int>(secret.size()), plain.get(), scheme));
  const Bio bio(BIO_new(BIO_s_mem()));
  TRIBUTARY_CHECK(sealed && bio && PEM_write_bio_PKCS8(bio.get(), sealed.get()) == 1);
  return Contents(bio);
}

Bytes SigningKey::public_key() const {
  Bytes bytes(kSigningPublicKeyBytes);
  size_t size = bytes.size();
  TRIBUTARY_CHECK(EVP_PKEY_get_raw_public_key(Handle(*this), bytes.data(), &size) == 1 && size == bytes.size());
  return bytes;
}

Bytes SigningKey::Sign(ByteView message) const {
  const DigestContext context(EVP_MD_CTX_new());
  Bytes signature(kSignatureBytes);
  size_t size = signature.size();
  TRIBUTARY_CHECK(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, Handle(*this)) == 1 &&
                  EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1 &&
                  size == kSignatureBytes);
  return signature;
}

Status VerifySignature(ByteView public_key, ByteView message, ByteView signature) {
  if (public_key.size() != kSigningPublicKeyBytes) {
    return Fail(Code::kInvalidArgument, "an Ed25519 public key is 32 bytes, not {}", public_key.size());
  }
  if (signature.size() != kSignatureBytes) {
    return Fail(Code::kBadSignature, "an Ed25519 signature is 64 bytes, not {}", signature.size());
  }
  const Owned<EVP_PKEY, EVP_PKEY_free> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const DigestContext context(EVP_MD_CTX_new());
  TRIBUTARY_CHECK(key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  if (EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1) {
    return {};
  }
  ERR_clear_error();
  return Fail(Code::kBadSignature, "the signature is not of this key over these {} bytes", message.size());
}

Result<SecretBytes> ReadSecretFile(const Path& path) {
  // O_NONBLOCK: a pipe in the file's place must be refused, not waited for.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return FailErrno("open", path);
  // The checks are on the open file, so that it cannot be exchanged between check and read.
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return FailErrno("stat", path);
  RETURN_IF_ERROR(CheckSecretFile(status, path));
  SecretBytes secret(static_cast<size_t>(status.st_size));
  MutableByteView rest = secret.RevealForFilling();
  while (!rest.empty()) {
    const ssize_t got = read(file.get(), rest.data(), rest.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("read", path);
    if (got == 0) return Fail(Code::kIo, "{} became shorter while it was read", path.string());
    rest = rest.subspan(static_cast<size_t>(got));
  }
  return secret;
}

Status WriteSecretFile(const Path& path, const SecretBytes& secret) {
  // The file system creates files with mode 0600, and the new file replaces one of another mode.
  return WriteFileAtomically(RealFileSystem(), path, secret.RevealForUse());
}

Result<std::unique_ptr<Signer>> OpenSignerFile(const Path& path, const SecretBytes& passphrase) {
  ASSIGN_OR_RETURN(const SecretBytes pem, ReadSecretFile(path));
  ASSIGN_OR_RETURN(SigningKey key, InFile(SigningKey::FromPem(pem, passphrase), path));
  return std::make_unique<FileSigner>(std::move(key));
}

Result<std::unique_ptr<Signer>> CreateSignerFile(const Path& path, const SecretBytes& passphrase) {
  if (const auto size = RealFileSystem().Size(path); size) {
    return Fail(Code::kAlreadyExists, "{} exists; a key is never written over", path.string());
  } else if (size.error().code != Code::kNotFound) {
    return Fail(size.error());
  }
  SigningKey key = SigningKey::Generate();
  RETURN_IF_ERROR(WriteSecretFile(path, passphrase.empty() ? key.ToPem() : key.ToPem(passphrase)));
  return std::make_unique<FileSigner>(std::move(key));
}

}  // namespace tributary
