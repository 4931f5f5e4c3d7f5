// Reads the claims' lines from standard input, writes them as a JSON list to the file named by the first argument, and
// prints them as a table. Exits with 1 when a claim does not hold, 2 when there is nothing to show or a line is not a
// claim.

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: bench_table <results.json>\n";
    return 2;
  }
  auto results = nlohmann::ordered_json::array();
  for (std::string line; std::getline(std::cin, line);) {
    auto claim = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!claim.is_object() || !claim.contains("holds")) {
      std::cerr << "not a claim: " << line << "\n";
      return 2;
    }
    results.push_back(std::move(claim));
  }
  std::ofstream file(argv[1]);
  file << results.dump(2) << "\n";
  if (!file.flush() || results.empty()) {
    std::cerr << (results.empty() ? "no claims" : "cannot write the results") << "\n";
    return 2;
  }
  bool all_hold = true;
  std::printf("%-66s %10s %10s %-7s %6s  %6s  %s\n", "claim", "value", "limit", "unit", "ratio", "target", "holds");
  for (const auto& claim : results) {
    const bool holds = claim["holds"];
    all_hold = all_hold && holds;
    std::printf("%-66s %10.3f %10.3f %-7s %6.3f  %6.2f  %s\n", claim["claim"].get<std::string>().c_str(),
                claim["value"].get<double>(), claim["limit"].get<double>(), claim["unit"].get<std::string>().c_str(),
                claim["ratio"].get<double>(), claim["target"].get<double>(), holds ? "yes" : "NO");
  }
  return all_hold ? 0 : 1;
}
