#include "protocol/base/sql/value.h"

#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

constexpr const char* kKinds[] = {"null", "integer", "real", "text", "blob"};

}  // namespace

const Value& Row::operator[](size_t column) const {
  TRIBUTARY_CHECK(column < cells_.size()) << "column " << column << " of " << cells_.size();
  return cells_[column];
}

Result<ByteView> Row::BytesOf(size_t column) const {
  if (const auto* bytes = std::get_if<Bytes>(&(*this)[column])) return ByteView(*bytes);
  return Fail(Code::kCorrupt, "column {} holds {} where blob belongs", column, kKinds[(*this)[column].index()]);
}

template <class T>
Result<T> Row::Held(size_t column) const {
  const Value& value = (*this)[column];
  const T* found = std::get_if<T>(&value);
  if (found == nullptr) {
    return Fail(Code::kCorrupt, "column {} holds {} where {} belongs", column, kKinds[value.index()],
                kKinds[Value(T()).index()]);
  }
  if constexpr (std::is_same_v<T, std::string>) {
    if (!IsUtf8(*found)) return Fail(Code::kCorrupt, "column {} holds a text that is not UTF-8", column);
  }
  return *found;
}

template Result<int64_t> Row::Held(size_t column) const;
template Result<double> Row::Held(size_t column) const;
template Result<std::string> Row::Held(size_t column) const;
template Result<Bytes> Row::Held(size_t column) const;

tl::unexpected<Error> Row::FailNumber(size_t column, int64_t number) {
  return Fail(Code::kCorrupt, "column {} holds the number {}, which it cannot have", column, number);
}

}  // namespace tributary
