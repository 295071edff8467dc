#include "runtime/images.h"

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "image/platform.h"

namespace crisp::runtime {

absl::StatusOr<image::ImagePtr> Images::Pull(const oci::Reference& reference,
                                             const image::Credentials& credentials,
                                             const base::Call& call) {
  const int64_t begin_ns = base::MonotonicNanos();
  CRISP_ASSIGN_OR_RETURN(image::ImagePtr image, core_.puller.Pull(reference, credentials, call));
  base::Log(base::LogLevel::kInfo, "image pulled",
            {{"image", reference.ToString()},
             {"id", image->id.str()},
             {"bytes", absl::StrCat(image->size)},
             {"took", absl::StrCat((base::MonotonicNanos() - begin_ns) / 1'000'000, "ms")}});
  const oci::Platform& platform = image->config.platform;
  if (!image::CanRun(platform, image::HostPlatform())) {
    base::Log(base::LogLevel::kWarning, "image says that it is for another architecture",
              {{"image", reference.ToString()}, {"architecture", platform.architecture}});
  }
  return image;
}

absl::Status Images::Remove(const image::ImagePtr& image) {
  const absl::Status removed = core_.images.Remove(image->id);
  if (absl::IsNotFound(removed)) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(removed);
  base::Failpoint("remove image: unlisted");
  core_.layer_use.DeleteUnused();
  base::Log(base::LogLevel::kInfo, "image removed", {{"id", image->id.str()}});
  return absl::OkStatus();
}

}  // namespace crisp::runtime
