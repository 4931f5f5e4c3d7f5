#include "gateway/desk/inbox_post.h"

#include <thread>

#include "protocol/base/limits.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr Millis kLook{50};

}  // namespace

std::string InboxPost::PublicationName() { return std::string(bundle::kPublication); }

Result<std::string> InboxPost::PutReceipt(ByteView receipt) {
  return Put(Sha256(receipt).hex().substr(0, 16) + ".receipt", receipt);
}

Result<std::string> InboxPost::PutOrder(const Order& order, Random& random) {
  Bytes name(8);
  random.Fill(name);
  return Put(ToHex(name) + ".order", AsBytes(FormatOrder(order)));
}

Result<std::string> InboxPost::Put(const std::string& name, ByteView bytes) {
  RETURN_IF_ERROR(files_.CreateFolders(folder_));
  RETURN_IF_ERROR(files_.Remove(folder_ / (name + ".answer")));  // to the same receipt, earlier
  RETURN_IF_ERROR(WriteFileAtomically(files_, folder_ / name, bytes));
  return name;
}

InboxAnswer InboxPost::Await(const std::string& name, const Clock& clock, Millis patience) {
  const Path answer = folder_ / (name + ".answer");
  for (const Millis end = clock.Monotonic() + patience;; std::this_thread::sleep_for(kLook)) {
    // The file itself goes after its answer is there.
    if (const auto text = ReadFile(files_, answer, limits::kConfigBytes); text && !files_.Size(folder_ / name)) {
      RETURN_IF_ERROR(files_.Remove(answer));
      return ParseAnswer(AsText(*text));
    }
    if (clock.Monotonic() >= end) {
      return Fail(Code::kTimeout, "the gateway has not got to " + (folder_ / name).string() +
                                      " yet; it stays there and is done when the gateway can, see its log");
    }
  }
}

}  // namespace tributary
