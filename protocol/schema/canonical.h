#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

// Messages to bytes and back, for the .cc files of the folders that speak Cap'n Proto; no other header includes this
// one. Two forms on the wire:
//   canonical: one segment without a frame, objects in pre-order, nothing left over. One content has one form, so it
//              can be signed, hashed and compared; what is not in that form is refused.
//   framed:    Cap'n Proto's own stream framing, for messages that are read once and thrown away.
// No kj::Exception leaves these functions. Reading is bounded by the bytes given, whatever the pointers in them say.
namespace tributary::wire {

inline capnp::Data::Reader ToData(ByteView bytes) { return {bytes.data(), bytes.size()}; }
inline capnp::Text::Reader ToText(const std::string& text) { return {text.data(), text.size()}; }
inline ByteView View(capnp::Data::Reader data) { return {data.begin(), data.size()}; }
inline std::string_view View(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

// Copies to where Cap'n Proto may read words from.
kj::Array<capnp::word> AlignedCopy(ByteView bytes);
capnp::ReaderOptions TightOptions(size_t byte_count);
ByteView View(const kj::Array<capnp::word>& words);
tl::unexpected<Error> FailMalformed(std::string_view what, const kj::Exception& exception);
Status CheckWholeWords(ByteView bytes, std::string_view what, size_t limit = SIZE_MAX);

// `fill(typename Message::Builder)` says what is to be written.
template <class Message, class Fill>
Bytes EncodeCanonical(Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<Message>());
  return ToBytes(View(capnp::AnyStruct::Reader(builder.getRoot<Message>().asReader()).canonicalize()));
}

template <class Message, class Fill>
Bytes EncodeFramed(Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<Message>());
  return ToBytes(View(capnp::messageToFlatArray(builder)));
}

// `read(typename Message::Reader)` returns the Result that becomes this function's; what it takes must be copied out of
// the reader. kTooLarge: over `limit`; without one the caller has checked. kMalformed names `what`: pointers that lead
// nowhere, or bytes that are not the canonical form of what they say. `read` is called only when the form is right.
template <class Message, class Read>
auto DecodeCanonical(ByteView bytes, std::string_view what, Read read, size_t limit = SIZE_MAX)
    -> decltype(read(std::declval<typename Message::Reader>())) {
  RETURN_IF_ERROR(CheckWholeWords(bytes, what, limit));
  try {
    const kj::Array<capnp::word> words = AlignedCopy(bytes);
    const kj::ArrayPtr<const capnp::word> segment = words.asPtr();
    capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1), TightOptions(bytes.size()));
    const auto root = message.getRoot<Message>();
    const kj::Array<capnp::word> again = capnp::AnyStruct::Reader(root).canonicalize();
    if (again.asBytes() != words.asBytes()) return Fail(Code::kMalformed, "{} is not in canonical form", what);
    return read(root);
  } catch (const kj::Exception& exception) {
    return FailMalformed(what, exception);
  }
}

template <class Message, class Read>
auto DecodeFramed(ByteView bytes, std::string_view what, Read read)
    -> decltype(read(std::declval<typename Message::Reader>())) {
  RETURN_IF_ERROR(CheckWholeWords(bytes, what));
  try {
    const kj::Array<capnp::word> words = AlignedCopy(bytes);
    capnp::FlatArrayMessageReader message(words, TightOptions(bytes.size()));
    return read(message.getRoot<Message>());
  } catch (const kj::Exception& exception) {
    return FailMalformed(what, exception);
  }
}

}  // namespace tributary::wire
