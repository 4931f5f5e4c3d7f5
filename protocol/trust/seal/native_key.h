#pragma once

#include <memory>

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

}  // namespace tributary
