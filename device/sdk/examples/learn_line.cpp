// The same as learn_line.c in C++17, with the device on a thread of its own, and examples that stay in the program: a
// vector takes the place of the collection.
//
//   learn_line FOLDER GATEWAY SERVER_KEY INVITATION VERSION [LEARNER...]
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include <tributary/tributary.hpp>

namespace {

struct Point {
  std::vector<float> x;
  float y;
};

[[noreturn]] void End(const tributary::Error& error) {
  std::fprintf(stderr, "%s: %s\n", error.name(), error.message.c_str());
  std::exit(1);
}
void Must(const tributary::Status& status) {
  if (!status) End(status.error());
}
template <class T>
T Must(tributary::Result<T> result) {
  if (!result) End(result.error());
  return std::move(*result);
}

tributary::Source Hosted(const std::vector<Point>& points) {
  return {"points",
          {{"x", tributary::DType::kFp32, {2}}, {"y", tributary::DType::kFp32, {}}},
          0.1,
          [&points]() -> tributary::Result<tributary::Source::Next> {
            return tributary::Source::Next([&points, at = size_t{0}](tributary::Example& example) mutable {
              if (at == points.size()) return tributary::Result<bool>(false);
              example.id = "point-" + std::to_string(at);
              example.tensors = {tributary::Tensor::Of("x", {2}, points[at].x), tributary::Tensor::Of("y", points[at].y)};
              ++at;
              return tributary::Result<bool>(true);
            });
          }};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const uint64_t wanted = std::stoull(argv[5]);
  std::vector<Point> points;  // these outlive the device, which uses them to its end
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t newest = 0;
  for (int i = 0; i < 40; ++i) {
    const float a = static_cast<float>(i % 7) / 7, b = static_cast<float>(i % 5) / 5;
    points.push_back({{a, b}, 2 * a - b});
  }

  tributary::Options options;
  options.folder = argv[1];
  options.gateway = argv[2];
  options.server_key = argv[3];
  options.retry_cap_seconds = 1;
  options.learner.assign(argv + 6, argv + argc);
  tributary::Device device = Must(tributary::Device::Open(options));
  const auto enrolled = device.Enrol(argv[4]);
  if (enrolled.error().code != TRIBUTARY_ALREADY_EXISTS) Must(enrolled);  // an earlier run is a member
  Must(device.Host(Hosted(points)));

  Must(device.SetEvents([&](const tributary::Event& event) {
    std::printf("event %d %s %llu %s\n", static_cast<int>(event.kind), event.task.c_str(),
                static_cast<unsigned long long>(event.version), event.text.c_str());
    if (event.kind != tributary::EventKind::kVersionArrived) return;
    const std::lock_guard lock(mutex);
    newest = event.version;
    changed.notify_all();
  }));
  Must(device.Start());
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return newest >= wanted; });
  }

  const std::vector<float> x = {0.25f, 0.5f, 1, -1};
  const auto prediction = Must(device.Predict("line", {tributary::Tensor::Of("x", {2, 2}, x)}));
  const tributary::Tensor& y = prediction.outputs()[0];
  for (const float value : y.As<float>()) {
    std::printf("predicted %s %a by version %llu%s\n", y.name.c_str(), static_cast<double>(value),
                static_cast<unsigned long long>(prediction.version()), prediction.personal() ? ", personal" : "");
  }
  return 0;
}
