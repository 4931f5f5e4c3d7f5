#include "aggregator/operator/command/outliers.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

double MiddleOf(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

double NumberAt(const Json& item, const char* key) {
  const auto found = item.find(key);
  return found != item.end() && found->is_number() ? found->get<double>() : 0;
}

// How odd: by how much it points away, then how large it is.
std::pair<double, double> Oddness(const Json& item) {
  return {-std::min(NumberAt(item, "cosine"), 0.0), NumberAt(item, "times")};
}

Json OddestFirst(std::vector<Json> items) {
  std::ranges::stable_sort(items, [](const Json& a, const Json& b) { return Oddness(a) > Oddness(b); });
  return items;
}

}  // namespace

Outliers FindOutliers(const Json& items) {
  std::vector<double> norms;
  for (const Json& item : items) norms.push_back(NumberAt(item, "norm"));
  const double median = MiddleOf(norms);
  const auto times = [median](double norm) { return median > 0 ? Json(norm / median) : Json(); };
  struct Gateway {
    std::vector<double> norms, cosines;
  };
  std::map<std::string, Gateway> gateways;
  std::vector<Json> by_device, by_gateway;
  for (const Json& item : items) {
    Json shown = item;
    shown["times"] = times(NumberAt(item, "norm"));
    by_device.push_back(std::move(shown));
    const Json name = item.value("gateway", Json());
    Gateway& gateway = gateways[name.is_string() ? name.get<std::string>() : ""];
    gateway.norms.push_back(NumberAt(item, "norm"));
    if (item.value("cosine", Json()).is_number()) gateway.cosines.push_back(NumberAt(item, "cosine"));
  }
  for (const auto& [name, gateway] : gateways) {
    const double norm = MiddleOf(gateway.norms);
    double sum = 0;
    for (const double cosine : gateway.cosines) sum += cosine;
    const auto count = static_cast<double>(gateway.cosines.size());
    by_gateway.push_back({{"gateway", name.empty() ? Json() : Json(name)},
                          {"updates", gateway.norms.size()},
                          {"median_norm", norm},
                          {"times", times(norm)},
                          {"cosine", gateway.cosines.empty() ? Json() : Json(sum / count)}});
  }
  return {OddestFirst(std::move(by_device)), OddestFirst(std::move(by_gateway))};
}

}  // namespace tributary
