#pragma once

#include <memory>
#include <utility>

// Handles of OpenSSL. No header of this folder names one of its types, so that nobody else sees its headers.
namespace tributary {

// A handle of a C library that is given back by `Free`. The library itself is named only where the alias is used.
template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

// A SigningKey's EVP_PKEY; its deleter is EVP_PKEY_free. For signing.cc and identity/x509_parts.cc.
struct NativeKey {
  explicit NativeKey(std::shared_ptr<void> key) : handle(std::move(key)) {}
  std::shared_ptr<void> handle;
};

}  // namespace tributary
