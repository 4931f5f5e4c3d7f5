#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <gmock/gmock.h>

#include "protocol/base/file.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::file_lock_test {
namespace {

using testing::HasSubstr;

// A child process that takes the lock, says so, and holds it until it is ended.
class Holder {
 public:
  explicit Holder(const Path& folder) {
    int ends[2];
    TRIBUTARY_CHECK(pipe(ends) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      const auto lock = FileLock::Take(folder);
      const char answer = lock ? 'y' : 'n';
      if (write(ends[1], &answer, 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ends[1]);
    char answer = 'n';
    TRIBUTARY_CHECK(pid_ > 0 && read(ends[0], &answer, 1) == 1 && answer == 'y');
    close(ends[0]);
  }
  ~Holder() { Kill(); }
  pid_t pid() const { return pid_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

TEST(FileLock, AnotherProcessIsNamedAndItsDeathFreesTheFolder) {
  const TemporaryFolder root;
  const Path folder = root / "data";
  Holder holder(folder);
  const auto refused = FileLock::Take(folder);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kLocked);
  EXPECT_THAT(refused.error().message, HasSubstr("process " + std::to_string(holder.pid())));
  EXPECT_THAT(refused.error().message, HasSubstr(folder.string()));
  holder.Kill();
  EXPECT_TRUE(FileLock::Take(folder).has_value());
}

TEST(FileLock, IsHeldOnceAndGivenBack) {
  const TemporaryFolder folder;
  {
    auto lock = FileLock::Take(folder.path());
    ASSERT_TRUE(lock.has_value());
    const FileLock moved = std::move(*lock);
    EXPECT_EQ(FileLock::Take(folder.path()).error().code, Code::kLocked);
  }
  EXPECT_TRUE(FileLock::Take(folder.path()).has_value());
}

TEST(FileLock, OtherFoldersAreFree) {
  const TemporaryFolder folder;
  const auto one = FileLock::Take(folder / "one");
  const auto two = FileLock::Take(folder / "two");
  EXPECT_TRUE(one.has_value() && two.has_value());
}

TEST(FileLock, ThoseWhoWaitComeOneAfterTheOther) {
  const TemporaryFolder folder;
  const Path file = folder / "tokens";
  std::atomic<bool> let_go = false;
  std::optional<FileLock> lock(Must(FileLock::Wait(file)));
  std::thread other([&] {
    const auto second = FileLock::Wait(file);
    EXPECT_TRUE(second.has_value());
    EXPECT_TRUE(let_go);
  });
  let_go = true;
  lock.reset();
  other.join();
  EXPECT_EQ(FileLock::Wait(folder / "absent" / "tokens").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace tributary::file_lock_test
