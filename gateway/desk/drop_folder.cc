#include "gateway/desk/drop_folder.h"

#include <thread>

#include "protocol/base/limits.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr std::string_view kOk = "ok";
constexpr std::string_view kDropPartial = "drop-partial";
constexpr Millis kLookForAnswer{50};

}  // namespace

std::string FormatOrder(const Order& order) {
  if (order.verb == Order::Verb::kDropPartial)
    return fmt::format("{} {}\n", kDropPartial, order.device ? order.device->text() : "all");
  return fmt::format("{} {}\n", order.verb == Order::Verb::kRequeue ? "requeue" : "purge",
                     order.upload ? order.upload->hex() : "all");
}

Result<Order> ParseOrder(std::string_view text) {
  if (text == "purge all\n") return Order{.verb = Order::Verb::kPurge};
  const auto refuse = [&] { return Fail(Code::kMalformed, "not an order: '{}'", text.substr(0, 80)); };
  const size_t space = text.find(' ');
  if (text.size() > kOrderBytes || space == std::string_view::npos || !text.ends_with('\n')) return refuse();
  const std::string_view verb = text.substr(0, space);
  const std::string_view target = text.substr(space + 1, text.size() - space - 2);
  if (verb == kDropPartial) {
    if (target == "all") return Order{.verb = Order::Verb::kDropPartial};
    const auto device = DeviceId::Parse(target);
    return device ? Result<Order>(Order{.verb = Order::Verb::kDropPartial, .device = *device}) : refuse();
  }
  if (verb != "requeue" && verb != "purge") return refuse();
  const auto id = UploadId::FromHex(target);
  if (!id) return refuse();
  return Order{verb == "purge" ? Order::Verb::kPurge : Order::Verb::kRequeue, *id};
}

std::string FormatAnswer(const InboxAnswer& answer) {
  if (answer) return fmt::format("{}\n{}\n", kOk, *answer);
  return fmt::format("{}\n{}\n", Name(answer.error().code), answer.error().message);
}

InboxAnswer ParseAnswer(std::string_view text) {
  const size_t line = text.find('\n');
  const auto code = line == std::string_view::npos ? std::nullopt : CodeByName(text.substr(0, line));
  const bool ok = line != std::string_view::npos && text.substr(0, line) == kOk;
  if ((!ok && !code) || !text.ends_with('\n') || text.size() < line + 2) return Fail(Code::kMalformed, "no answer");
  const std::string sentence(text.substr(line + 1, text.size() - line - 2));
  if (ok) return sentence;
  if (sentence.empty()) return Fail(Code::kMalformed, "an answer that refuses and does not say why");
  return Fail(*code, sentence);
}

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
  for (const Millis end = clock.Monotonic() + patience;; std::this_thread::sleep_for(kLookForAnswer)) {
    // The file itself goes after its answer is there.
    if (const auto text = ReadFile(files_, answer, limits::kConfigBytes); text && !files_.Size(folder_ / name)) {
      RETURN_IF_ERROR(files_.Remove(answer));
      return ParseAnswer(AsText(*text));
    }
    if (clock.Monotonic() >= end) {
      return Fail(Code::kTimeout,
                  "the gateway has not got to {} yet; it stays there and is done when the gateway can, see its log",
                  (folder_ / name).string());
    }
  }
}

}  // namespace tributary
