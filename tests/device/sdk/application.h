#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/sdk/include/tributary/tributary.h"

namespace tributary {

// A program that embeds a device, as tests of the C interface write it. The device ends with it. Add on any thread.
class Application {
 public:
  struct Event {
    int kind = 0;
    int code = 0;
    uint64_t version = 0;
    std::string task, text;
  };

  ~Application() { EXPECT_EQ(tributary_close(device_, nullptr), TRIBUTARY_OK); }
  // Fails the test unless it opens.
  void Open(const std::string& folder, const std::string& gateway = "", const std::string& key = "",
            const std::vector<std::string>& learner = {}) {
    std::vector<const char*> words;
    for (const std::string& word : learner) words.push_back(word.c_str());
    words.push_back(nullptr);
    tributary_options options{};
    options.struct_size = sizeof(options);
    options.folder = folder.c_str();
    options.gateway = gateway.empty() ? nullptr : gateway.c_str();
    options.server_key = key.empty() ? nullptr : key.c_str();
    options.learner = learner.empty() ? nullptr : words.data();
    options.retry_cap_seconds = 1;
    ASSERT_EQ(tributary_open(&options, &device_, error()), TRIBUTARY_OK) << message();
    ASSERT_EQ(tributary_set_events(device_, Tell, this, error()), TRIBUTARY_OK) << message();
  }
  void Close() {
    EXPECT_EQ(tributary_close(device_, nullptr), TRIBUTARY_OK);
    device_ = nullptr;
  }
  tributary_device* get() const { return device_; }
  // For one call on the test's own thread.
  tributary_error* error() {
    error_ = {};
    error_.struct_size = sizeof(error_);
    return &error_;
  }
  std::string message() const { return error_.message; }

  int CreatePoints(const std::string& name = "points") {
    static constexpr int64_t kTwo[] = {2};
    const tributary_field fields[] = {{"x", TRIBUTARY_FP32, 1, kTwo}, {"y", TRIBUTARY_FP32, 0, nullptr}};
    tributary_collection points{};
    points.struct_size = sizeof(points);
    points.field_count = 2;
    points.name = name.c_str();
    points.fields = fields;
    return tributary_create(device_, &points, error());
  }
  // The points `from` to `to` of y = 2a - b; ids "p7" when wanted.
  int AddPoints(int from, int to, bool with_ids = false, tributary_error* told = nullptr) {
    std::vector<Point> points;
    for (int i = from; i < to; ++i) points.emplace_back(i);
    std::vector<tributary_example> examples;
    for (Point& point : points) examples.push_back(point.Given(with_ids));
    return tributary_add(device_, "points", examples.data(), examples.size(), told);
  }
  uint64_t Count(const std::string& name = "points") {
    uint64_t count = 0;
    EXPECT_EQ(tributary_count(device_, name.c_str(), &count, error()), TRIBUTARY_OK) << message();
    return count;
  }

  // Called on the thread that runs the device, before it is known as come. Set before the start.
  std::function<void(const Event&)> also;
  // Waits for an event of this kind, of this version or a newer one, that has come or comes.
  bool Await(int kind, uint64_t version = 0) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return Has(kind, version); });
  }
  bool AwaitCode(int code) {
    std::unique_lock lock(mutex_);
    const auto has = [&] { return std::ranges::any_of(events_, [&](const Event& event) { return event.code == code; }); };
    return changed_.wait_for(lock, std::chrono::seconds(60), has);
  }
  bool HasCome(int kind, uint64_t version = 0) {
    const std::lock_guard lock(mutex_);
    return Has(kind, version);
  }
  bool HasSaid(const std::string& part) {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(events_, [&](const Event& event) { return event.text.find(part) != std::string::npos; });
  }
  std::vector<Event> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

  struct Point {
    explicit Point(int i)
        : id("p" + std::to_string(i)), x{static_cast<float>(i % 7) / 7, static_cast<float>(i % 5) / 5}, y(2 * x[0] - x[1]) {}
    tributary_example Given(bool with_id) {
      static constexpr int64_t kTwo[] = {2};
      tensors[0] = {"x", TRIBUTARY_FP32, 1, kTwo, x, sizeof(x)};
      tensors[1] = {"y", TRIBUTARY_FP32, 0, nullptr, &y, sizeof(y)};
      tributary_example example{};
      example.struct_size = sizeof(example);
      example.tensor_count = 2;
      example.tensors = tensors;
      example.id = with_id ? id.c_str() : nullptr;
      return example;
    }
    std::string id;
    float x[2];
    float y;
    tributary_tensor tensors[2] = {};
  };

 private:
  static void Tell(void* user, const tributary_event* event) {
    auto& self = *static_cast<Application*>(user);
    const Event told{event->kind, event->code, event->version, event->task, event->text};
    if (self.also) self.also(told);
    const std::lock_guard lock(self.mutex_);
    self.events_.push_back(told);
    self.changed_.notify_all();
  }
  bool Has(int kind, uint64_t version) const {
    for (const Event& event : events_) {
      if (event.kind == kind && event.version >= version) return true;
    }
    return false;
  }

  tributary_device* device_ = nullptr;
  tributary_error error_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
};

}  // namespace tributary
