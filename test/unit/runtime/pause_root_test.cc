#include "runtime/pause_root.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "test/unit/small_disk.h"

namespace crisp::runtime {
namespace {

ino_t Inode(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// The first line that does not hold, "" if all do.
#define EXPECT_TRUE(condition) \
  if (!(condition)) return "not true: " #condition

TEST_CASE("pause is installed once, and again when it differs or cannot be executed") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    EXPECT_TRUE(base::WriteFileAtomic(dir + "/program", "one", 0755).ok());
    const auto get = [&] { return PauseRoot(dir + "/pause", dir + "/program").Get(); };
    const std::string path = dir + "/pause/pause";
    EXPECT_TRUE(get().value_or("") == dir + "/pause");
    EXPECT_TRUE(base::ReadFile(path).value_or("") == "one");
    EXPECT_TRUE(access((dir + "/pause/dev/shm").c_str(), F_OK) == 0);
    EXPECT_TRUE(access((dir + "/pause/proc").c_str(), F_OK) == 0);
    const ino_t first = Inode(path);
    EXPECT_TRUE(get().ok() && Inode(path) == first);
    EXPECT_TRUE(base::WriteFileAtomic(dir + "/program", "two", 0755).ok());  // an upgrade
    EXPECT_TRUE(get().ok() && base::ReadFile(path).value_or("") == "two");
    EXPECT_TRUE(chmod(path.c_str(), 0644) == 0);
    EXPECT_TRUE(get().ok() && access(path.c_str(), X_OK) == 0);
    return "";
  });
}

TEST_CASE("pause needs nothing of a full or read-only disk that it is installed on") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    EXPECT_TRUE(base::WriteFileAtomic(dir + "/program", "one", 0755).ok());
    EXPECT_TRUE(PauseRoot(dir + "/pause", dir + "/program").Get().ok());
    test::FillUp(dir);
    EXPECT_TRUE(PauseRoot(dir + "/pause", dir + "/program").Get().ok());
    EXPECT_TRUE(test::SetReadOnly(dir, true));
    EXPECT_TRUE(PauseRoot(dir + "/pause", dir + "/program").Get().ok());
    return "";
  });
}

TEST_CASE("pause that cannot be installed is an error of each pod until there is space") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    EXPECT_TRUE(base::WriteFileAtomic(dir + "/program", "one", 0755).ok());
    test::FillUp(dir);
    PauseRoot root(dir + "/pause", dir + "/program");
    EXPECT_TRUE(absl::IsResourceExhausted(root.Get().status()));
    EXPECT_TRUE(absl::IsResourceExhausted(root.Get().status()));
    test::FreeSpace(dir);
    return std::string(root.Get().status().message());
  });
}

}  // namespace
}  // namespace crisp::runtime
