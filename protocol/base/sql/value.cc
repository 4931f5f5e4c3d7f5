#include "protocol/base/sql/value.h"

namespace tributary {
namespace {

constexpr const char* kKinds[] = {"null", "integer", "real", "text", "blob"};

template <class T>
const T& Held(const Row& row, size_t column) {
  const Value& value = row[column];
  const T* found = std::get_if<T>(&value);
  TRIBUTARY_CHECK(found != nullptr) << "column " << column << " holds " << kKinds[value.index()] << ", asked for "
                                    << kKinds[Value(T()).index()];
  return *found;
}

}  // namespace

const Value& Row::operator[](size_t column) const {
  TRIBUTARY_CHECK(column < cells_.size()) << "column " << column << " of " << cells_.size();
  return cells_[column];
}

int64_t Row::Int(size_t column) const { return Held<int64_t>(*this, column); }
double Row::Real(size_t column) const { return Held<double>(*this, column); }
const std::string& Row::Text(size_t column) const { return Held<std::string>(*this, column); }
const Bytes& Row::Blob(size_t column) const { return Held<Bytes>(*this, column); }

}  // namespace tributary
