#include "protocol/transport/address_finder.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "protocol/transport/host_questions.h"

namespace tributary {
namespace {

constexpr std::string_view kScheme = "tcp://";

bool IsV6(const std::string& host) {
  in6_addr six{};
  // A zone ("%eth0") belongs to a link-local address.
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &six) == 1;
}

Result<std::vector<std::string>> AskSystem(const TcpEndpoint& endpoint) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(endpoint.host.c_str(), nullptr, &hints, &list);
  if (failed != 0) return Fail(Code::kUnreachable, "{}", gai_strerror(failed));
  std::vector<std::string> addresses;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    const int named = getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    if (named == 0) addresses.emplace_back(text.data());
  }
  freeaddrinfo(list);
  if (addresses.empty()) return Fail(Code::kUnreachable, "it has no address");
  return addresses;
}

}  // namespace

bool TcpEndpoint::IsAddress() const {
  in_addr four{};
  return inet_pton(AF_INET, host.c_str(), &four) == 1 || IsV6(host);
}

std::string TcpEndpoint::text() const {
  const bool brackets = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}{}{}:{}", kScheme, source, brackets ? "[" : "", host, brackets ? "]" : "", port);
}

Result<TcpEndpoint> ParseTcpEndpoint(const std::string& endpoint) {
  const auto wrong = [&](std::string_view why) {
    return Fail(Code::kInvalidArgument, "{}: {}; an endpoint is tcp://host:port, with an IPv6 address in brackets",
                endpoint, why);
  };
  if (!endpoint.starts_with(kScheme)) return wrong("it does not begin with tcp://");
  const std::string rest = endpoint.substr(kScheme.size());
  const size_t colon = rest.rfind(':');
  if (colon == std::string::npos || colon + 1 == rest.size()) return wrong("there is no port");
  const size_t begin = rest.find(';') + 1;  // 0: there is no source
  TcpEndpoint parts{rest.substr(0, begin), rest.substr(begin, colon - begin), rest.substr(colon + 1)};
  if (parts.host.starts_with('[') != parts.host.ends_with(']')) return wrong("half a pair of brackets");
  if (parts.host.starts_with('[')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
    if (!IsV6(parts.host)) return wrong("no IPv6 address stands in the brackets");
  } else if (parts.host.find(':') != std::string::npos) {
    return wrong("a host name has no colon");
  }
  if (parts.host.empty()) return wrong("there is no host");
  uint16_t port = 0;
  const auto [end, problem] = std::from_chars(parts.port.data(), parts.port.data() + parts.port.size(), port);
  if (problem == std::errc::result_out_of_range) return wrong("the port is over 65535");
  if (parts.port != "*" && (problem != std::errc() || end != parts.port.data() + parts.port.size())) {
    return wrong("the port is no number");
  }
  return parts;
}

AddressFinder::AddressFinder(Loop& loop, std::string endpoint) : AddressFinder(loop, std::move(endpoint), AskSystem) {}

AddressFinder::AddressFinder(Loop& loop, std::string endpoint, Ask ask)
    : loop_(loop), endpoint_(std::move(endpoint)), ask_(std::move(ask)) {}

AddressFinder::~AddressFinder() {
  loop_.Cancel(patience_);
  if (question_ != 0) loop_.host_questions().Forget(question_);
}

void AddressFinder::Cancel() {
  loop_.Cancel(patience_);
  found_ = nullptr;
}

void AddressFinder::Find(Found found) {
  auto parts = ParseTcpEndpoint(endpoint_);
  if (!parts) return found(Fail(parts.error()));
  parts_ = std::move(*parts);
  if (parts_.IsAddress()) return found(endpoint_);
  found_ = std::move(found);
  loop_.Cancel(patience_);
  patience_ = loop_.After(kPatience, [this] { Give(); });
  if (question_ != 0) return;  // the last one has not been answered yet
  problem_ = {Code::kUnreachable, fmt::format("no name server has answered for {} ms", kPatience.count())};
  question_ = loop_.host_questions().Put(
      parts_.host, [ask = ask_, parts = parts_] { return ask(parts); },
      [this](const Result<std::vector<std::string>>& answer) { OnAnswer(answer); });
}

void AddressFinder::OnAnswer(const Result<std::vector<std::string>>& answer) {
  question_ = 0;
  if (answer) {
    addresses_ = *answer;
  } else {
    problem_ = answer.error();
  }
  Give();
}

void AddressFinder::Give() {
  loop_.Cancel(patience_);
  if (!found_) return;
  const Found found = std::exchange(found_, nullptr);
  if (addresses_.empty()) {
    return found(Fail(Code::kUnreachable, "the address of {} is not known: {}", parts_.host, problem_.message));
  }
  if (!std::exchange(worked_, false)) ++next_;
  found(TcpEndpoint{parts_.source, addresses_[(next_ - 1) % addresses_.size()], parts_.port}.text());
}

}  // namespace tributary
