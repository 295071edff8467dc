#include "linux/overlay_options.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crisp::linux {

absl::StatusOr<std::string> OverlayOptions(const std::vector<std::string>& lowers,
                                           const std::string& upper, const std::string& work) {
  if (lowers.empty()) return absl::InvalidArgumentError("an overlay needs a lower directory");
  if (lowers.size() > kMaxOverlayLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat(lowers.size(), " layers, an overlay has at most ", kMaxOverlayLayers));
  }
  if (upper.empty() != work.empty()) {
    return absl::InvalidArgumentError("an overlay needs upper and work directory together");
  }
  std::vector<std::string> names = lowers;
  if (!upper.empty()) names.insert(names.end(), {upper, work});
  for (const std::string& name : names) {
    if (name.empty() || name.find_first_of(":,\\") != std::string::npos ||
        absl::StrContains(name, '\0')) {
      return absl::InvalidArgumentError(absl::StrCat("overlay directory \"", absl::CEscape(name),
                                                     "\" must not be empty or contain : , \\"));
    }
  }
  // Layers come from registries: nothing in them may redirect a lookup or stand for another file's
  // data (redirect, metacopy), whatever the defaults of the host's overlay module are.
  std::string options =
      absl::StrCat("redirect_dir=nofollow,metacopy=off,index=off,xino=off,lowerdir=",
                   absl::StrJoin(lowers, ":"));
  // volatile: without it every unmount, so every end of a container, syncs the whole file system
  // below the upper directory, and fsync(2) inside waits for its disk. An upper directory is used
  // by one start only and is gone or worthless after a crash of the host, which is all that
  // volatile gives up.
  if (!upper.empty()) {
    absl::StrAppend(&options, ",upperdir=", upper, ",workdir=", work, ",volatile");
  }
  return options;
}

}  // namespace crisp::linux
