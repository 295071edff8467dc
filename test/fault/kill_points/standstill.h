// The test's side of base/failpoint_page.h: makes a program that it starts stand still at a point,
// waits until it does, and lets it go on. One thread at a time, unless a method says otherwise.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/failpoint_page.h"

namespace crisp::test {

class Standstill {
 public:
  // Makes the file at `path`, and names it in this process's environment for programs it starts.
  explicit Standstill(const std::string& path);
  ~Standstill();
  Standstill(const Standstill&) = delete;

  // From now on the next program that passes `point` for the `nth` time (from 1) stands still
  // there. Forgets what was passed.
  void Arm(const std::string& point, uint32_t nth);
  // Only records what is passed from now on.
  void Record() { Arm("", 0); }
  // Waits until a program stands still; false when none does in time.
  bool Await(absl::Duration patience) const;
  // Lets it go on, if it still lives; nothing stands still any more until Arm.
  void Release();

  // How many points were passed since Arm. From any thread.
  size_t count() const { return page_->count; }
  // The names of the points passed since Arm, in their order. From any thread.
  std::vector<std::string> Passed() const;

 private:
  base::FailpointPage* page_;
  const std::string path_;
};

}  // namespace crisp::test
