#include "cgroup/libcgroup.h"

#include <libcgroup.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/errno.h"

namespace crisp::cgroup {
namespace {

struct FreeGroup {
  void operator()(struct ::cgroup* group) const { cgroup_free(&group); }
};
using Group = std::unique_ptr<struct ::cgroup, FreeGroup>;

absl::Status Error(absl::string_view operation, int code) {
  if (code == ECGOTHER) return base::Errno(operation, "", cgroup_get_last_errno());
  // Opening the file failed. libcgroup does not keep the errno, which is nearly always ENOENT: this
  // kernel or host does not have that limit.
  if (code == ECGROUPVALUENOTEXIST) {
    return absl::InvalidArgumentError(absl::StrCat(operation, ": no such file"));
  }
  return absl::InternalError(absl::StrCat(operation, ": ", cgroup_strerror(code)));
}

}  // namespace

absl::Status InitLibcgroup() {
  static const int code = cgroup_init();
  if (code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("initialize libcgroup: ", cgroup_strerror(code)));
}

absl::Status CreateGroup(const std::string& path, const std::vector<std::string>& controllers) {
  const std::string operation = absl::StrCat("create cgroup ", path);
  const Group group(cgroup_new_cgroup(path.c_str()));
  if (group == nullptr) return absl::ResourceExhaustedError(operation);
  for (const std::string& controller : controllers) {
    if (cgroup_add_controller(group.get(), controller.c_str()) == nullptr) {
      return absl::InternalError(absl::StrCat(operation, ": add controller ", controller));
    }
  }
  // 1: do not change the owner. The directories belong to root already, and libcgroup's walk to
  // chown them would cost more than everything else.
  const int code = cgroup_create_cgroup(group.get(), /*ignore_ownership=*/1);
  return code == 0 ? absl::OkStatus() : Error(operation, code);
}

absl::Status WriteSetting(const std::string& path, const Setting& setting) {
  const std::string operation =
      absl::StrCat("write ", setting.file, "=", absl::StrReplaceAll(setting.value, {{"\n", "; "}}));
  const Group group(cgroup_new_cgroup(path.c_str()));
  cgroup_controller* controller =
      group == nullptr ? nullptr : cgroup_add_controller(group.get(), setting.controller.c_str());
  if (controller == nullptr) return absl::ResourceExhaustedError(operation);
  int code = cgroup_add_value_string(controller, setting.file.c_str(), setting.value.c_str());
  if (code != 0) {
    return absl::InvalidArgumentError(absl::StrCat(operation, ": ", cgroup_strerror(code)));
  }
  code = cgroup_modify_cgroup(group.get());
  return code == 0 ? absl::OkStatus() : Error(operation, code);
}

}  // namespace crisp::cgroup
