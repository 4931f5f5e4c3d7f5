#include "protocol/base/process/config.h"
#include "tests/fuzz/fuzz_target.h"

// Every getter meets every kind of value, then Finish has an opinion.
TRIBUTARY_FUZZ_TARGET(config) {
  using namespace tributary;
  auto reader = ConfigReader::Parse(AsText({data, size}), "fuzz.toml");
  if (!reader) {
    TRIBUTARY_CHECK(reader.error().code == Code::kConfigSyntax || reader.error().code == Code::kTooLarge)
        << reader.error().ToString();
    return 0;
  }
  std::string text = "default";
  std::vector<std::string> list;
  Path path;
  int64_t whole = 7;
  double real = 0.5;
  bool flag = false;
  reader->Get("a.text", text);
  reader->Get("a.list", list);
  reader->Get("a.path", path);
  reader->Get("b.whole", whole, 1, 10);
  reader->Get("b.real", real, 0, 1);
  reader->Get("b.flag", flag);
  reader->GetEnum("c.choice", text, {"one", "two"});
  const Status finished = reader->Finish();
  TRIBUTARY_CHECK(whole >= 1 && whole <= 10 && real >= 0 && real <= 1) << whole << " " << real;
  TRIBUTARY_CHECK(finished || !finished.error().message.empty()) << "a refusal that says nothing";
  return 0;
}
