#include "base/thread.h"

#include <pthread.h>

#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/errno.h"

namespace crisp::base {

absl::StatusOr<Thread> StartThread(const std::string& name, std::function<void()> run) {
  constexpr size_t kMaxNameBytes = 15;  // pthread_setname_np(3)
  const std::string shown = name.substr(0, kMaxNameBytes);
  Thread thread;
  try {
    thread.thread_ = std::thread([shown, run = std::move(run)] {
      pthread_setname_np(pthread_self(), shown.c_str());
      run();
    });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread for ", name, ": ", ErrnoText(error.code().value())));
  }
  return thread;
}

}  // namespace crisp::base
