// passwd(5) and group(5) of an image: "<user of the image>\0<passwd>\0<group>". A first field that
// starts with '@' is run_as_username, with '#' run_as_user.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "spec/user.h"

using crisp::spec::ResolvedUser;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(reinterpret_cast<const char*>(data), size),
                     absl::MaxSplits(absl::ByChar('\0'), 2));
  if (fields.size() < 3) return 0;
  absl::string_view image_user = fields[0];
  ::runtime::v1::LinuxContainerSecurityContext context;
  int64_t uid = 0;
  if (!image_user.empty() && image_user[0] == '@') {
    context.set_run_as_username(std::string(image_user.substr(1)));
    image_user = "";
  } else if (!image_user.empty() && image_user[0] == '#' &&
             absl::SimpleAtoi(image_user.substr(1), &uid)) {
    context.mutable_run_as_user()->set_value(uid);
  }
  const absl::StatusOr<ResolvedUser> user =
      crisp::spec::ResolveUser(context, image_user, fields[1], fields[2]);
  if (!user.ok()) return 0;
  const std::vector<uint32_t>& groups = user->additional_gids;
  if (user->uid > INT32_MAX || user->gid > INT32_MAX) __builtin_trap();
  if (!std::is_sorted(groups.begin(), groups.end()) || groups.back() > INT32_MAX ||
      !std::binary_search(groups.begin(), groups.end(), user->gid)) {
    __builtin_trap();
  }
  if (context.has_run_as_user() && user->uid != static_cast<uint64_t>(uid)) __builtin_trap();
  if (!user->home.empty() && user->home[0] != '/') __builtin_trap();
  return 0;
}
