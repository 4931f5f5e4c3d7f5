#include "gateway/desk/order.h"

namespace tributary {
namespace {

constexpr std::string_view kAll = "all";
constexpr std::string_view kOk = "ok";

}  // namespace

std::string FormatOrder(const Order& order) {
  const std::string target = order.upload ? order.upload->hex() : std::string(kAll);
  return (order.verb == Order::Verb::kRequeue ? "requeue " : "purge ") + target + "\n";
}

Result<Order> ParseOrder(std::string_view text) {
  const auto refuse = [&] { return Fail(Code::kMalformed, "not an order: '" + std::string(text.substr(0, 80)) + "'"); };
  const size_t space = text.find(' ');
  if (text.size() > kOrderBytes || space == std::string_view::npos || !text.ends_with('\n')) return refuse();
  const std::string_view verb = text.substr(0, space);
  const std::string_view target = text.substr(space + 1, text.size() - space - 2);
  Order order;
  if (verb == "purge") {
    order.verb = Order::Verb::kPurge;
    if (target == kAll) return order;
  } else if (verb != "requeue") {
    return refuse();
  }
  const auto id = UploadId::FromHex(target);
  if (!id) return refuse();
  order.upload = *id;
  return order;
}

std::string FormatAnswer(const InboxAnswer& answer) {
  if (answer) return std::string(kOk) + "\n" + *answer + "\n";
  return std::string(Name(answer.error().code)) + "\n" + answer.error().message + "\n";
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

}  // namespace tributary
