#include "protocol/base/process/config.h"
#include "tests/fuzz/fuzz_target.h"

// Every kind of field meets every kind of value, then Finish has an opinion.
TRIBUTARY_FUZZ_TARGET(config) {
  using namespace tributary;
  auto reader = ConfigReader::Parse(AsText({data, size}), "fuzz.toml");
  if (!reader) {
    TRIBUTARY_CHECK(reader.error().code == Code::kConfigSyntax || reader.error().code == Code::kTooLarge)
        << reader.error().ToString();
    return 0;
  }
  static constexpr std::string_view kChoices[] = {"one", "two"};
  std::string text = "default";
  std::vector<std::string> list;
  Path path;
  int64_t whole = 7;
  double real = 0.5;
  bool flag = false;
  reader->Read({.name = "a.text", .place = &text});
  reader->Read({.name = "a.list", .place = &list});
  reader->Read({.name = "a.path", .place = &path});
  reader->Read({.name = "b.whole", .place = &whole, .bounds = Between(1, 10)});
  reader->Read({.name = "b.real", .place = &real, .bounds = Between(0, 1)});
  reader->Read({.name = "b.flag", .place = &flag});
  reader->Read({.name = "c.choice", .place = &text, .names = kChoices});
  const Status finished = reader->Finish();
  TRIBUTARY_CHECK(whole >= 1 && whole <= 10 && real >= 0 && real <= 1) << whole << " " << real;
  TRIBUTARY_CHECK(finished || !finished.error().message.empty()) << "a refusal that says nothing";
  return 0;
}
