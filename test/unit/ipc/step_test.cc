#include "ipc/step.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <set>
#include <string>

#include "ipc/step_status.h"

namespace crisp::ipc {
namespace {

using absl::StatusCode;

Step Nth(uint32_t number) { return static_cast<Step>(number); }

}  // namespace

TEST_CASE("every step has a name of its own, and number and name lead back to it") {
  std::set<std::string> names;
  for (uint32_t number = 1; number <= kLastStep; ++number) {
    const std::string name = StepName(Nth(number));
    INFO(number << " " << name);
    CHECK_FALSE(name.empty());
    CHECK(names.insert(name).second);
    CHECK(StepOf(number, name) == Nth(number));
    CHECK(StepOf(0, name) == Nth(number));
    CHECK(StepOf(number, "another name") == Nth(number));
  }
}

TEST_CASE("numbers on the wire stay what they are") {
  // Shims of every released crispd send these.
  CHECK(StepOf(1, "") == Step::kStart);
  CHECK(StepOf(12, "") == Step::kSpec);
  CHECK(StepOf(20, "") == Step::kClone);
  CHECK(StepOf(26, "") == Step::kMounts);
  CHECK(StepOf(31, "") == Step::kSysctls);
  CHECK(StepOf(32, "") == Step::kWorkdir);
  CHECK(StepOf(43, "") == Step::kExec);
  CHECK(StepOf(44, "") == Step::kInherited);
  CHECK(StepOf(45, "") == Step::kAwaitCgroup);
}

TEST_CASE("a step this crispd does not know is kNone") {
  CHECK(StepOf(0, "") == Step::kNone);
  CHECK(StepOf(0, "a step of tomorrow") == Step::kNone);
  CHECK(StepOf(kLastStep + 1, "exec") == Step::kNone);
  CHECK(StepOf(UINT32_MAX, "exec") == Step::kNone);
  CHECK(std::string(StepName(Step::kNone)).empty());
}

TEST_CASE("what the client asked for is its mistake, everything else is not") {
  const std::set<Step> client = {Step::kSpec, Step::kWorkdir, Step::kExec};
  const std::set<Step> if_unusable = {Step::kLog,     Step::kMountSources,     Step::kImageMounts,
                                      Step::kMounts,  Step::kDevices,          Step::kConsole,
                                      Step::kSysctls, Step::kPathRestrictions, Step::kRlimits};
  for (uint32_t number = 0; number <= kLastStep; ++number) {
    const Step step = Nth(number);
    INFO(StepName(step));
    for (const int error : {0, EPERM, EIO, ESRCH, EMFILE}) {
      CHECK(StepStatusCode(step, error) ==
            (client.count(step) != 0 ? StatusCode::kInvalidArgument : StatusCode::kInternal));
    }
    for (const int error : {ENOSPC, EDQUOT, ENOMEM, EAGAIN}) {
      CHECK(StepStatusCode(step, error) == StatusCode::kResourceExhausted);
    }
    // A link or a file where the image should have a directory, a value that the kernel refuses.
    for (const int error : {EINVAL, ERANGE, EACCES, ENOENT, ENOTDIR, ELOOP, EISDIR, EEXIST}) {
      INFO(error);
      const bool mistake = client.count(step) + if_unusable.count(step) != 0;
      CHECK(StepStatusCode(step, error) ==
            (mistake ? StatusCode::kInvalidArgument : StatusCode::kInternal));
    }
  }
}

}  // namespace crisp::ipc
