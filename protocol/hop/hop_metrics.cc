#include "protocol/hop/hop_metrics.h"

#include <utility>

namespace tributary {

MetricSamples AccountSamples(const KindAccounts& accounts) {
  MetricSamples samples;
  for (size_t i = 0; i < accounts.size(); ++i) {
    const KindAccount& account = accounts[i];
    for (const auto& [state, count] : {std::pair<const char*, uint64_t>{"offered", account.offered},
                                       {"delivered", account.delivered},
                                       {"spooled", account.spooled},
                                       {"in_flight", account.in_flight},
                                       {"duplicate", account.duplicate},
                                       {"refused", account.Refused()},
                                       {"dropped", account.Dropped()}}) {
      samples.push_back(
          {{{"kind", std::string(KindName(kUploadKinds[i]))}, {"state", state}}, static_cast<double>(count)});
    }
  }
  return samples;
}

MetricSamples ReasonSamples(const KindAccounts& accounts, std::map<Code, uint64_t> KindAccount::*which) {
  MetricSamples samples;
  for (size_t i = 0; i < accounts.size(); ++i) {
    for (MetricSample& sample : ReasonSamples(accounts[i].*which)) {
      sample.labels["kind"] = KindName(kUploadKinds[i]);
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

MetricSamples ReasonSamples(const std::map<Code, uint64_t>& counts) {
  MetricSamples samples;
  for (const auto& [code, count] : counts)
    samples.push_back({{{"reason", std::string(Name(code))}}, static_cast<double>(count)});
  return samples;
}

MetricSamples LinkSamples(const std::map<LinkPurpose, LinkBytes>& link, bool resent) {
  MetricSamples samples;
  for (const auto& [purpose, bytes] : link) {
    const auto add = [&, name = std::string(PurposeName(purpose))](const char* direction, uint64_t value) {
      samples.push_back({{{"purpose", name}, {"direction", direction}}, static_cast<double>(value)});
    };
    add("up", bytes.up);
    add("down", bytes.down);
    if (resent) add("resent", bytes.resent);
  }
  return samples;
}

}  // namespace tributary
