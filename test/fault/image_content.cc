#include "fault/image_content.h"

#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "linux/spawn.h"

namespace crisp::test {
namespace {

// Arguments: layout, image, root to make, script.
constexpr char kUnpack[] = R"sh(
cd "$1"
blob() { echo "blobs/sha256/${1#sha256:}"; }
manifest=$(blob "$(jq -r --arg name "$2" 'first(.manifests[] |
  select(.annotations["org.opencontainers.image.ref.name"] == $name)).digest' index.json)")
own=$(jq -r --arg machine "$(dpkg --print-architecture)" '[.manifests[]? |
  select(.platform.architecture == $machine).digest] | .[0] // ""' "$manifest")
[ -z "$own" ] || manifest=$(blob "$own")
umask 022
mkdir "$3"
for layer in $(jq -r '.layers[].digest' "$manifest"); do
  tar -x -p --same-owner --numeric-owner -f "$(blob "$layer")" -C "$3"
done
chroot "$3" /bin/sh -c "$4"
rm -r "$3"
)sh";

}  // namespace

const char kListFiles[] = R"sh(cd / && find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys \
  -o -path ./etc/hostname -o -path ./etc/hosts -o -path ./etc/resolv.conf \) -prune -o ! -path . \
  \( -type d -exec stat -c '%n %f %u %g' {} + -o -exec stat -c '%N %f %u %g %Y' {} + \) \
  -type f -exec sha256sum {} + | sort)sh";

std::string FilesOf(const std::string& image, const std::string& scratch) {
  const char* layout = getenv("CRISP_TEST_LAYOUT");
  if (layout == nullptr) throw std::runtime_error("CRISP_TEST_LAYOUT is not set");
  const absl::StatusOr<linux::RunResult> result = linux::Run(
      {.path = "/bin/sh",
       .args = {"sh", "-ec", kUnpack, "sh", layout, image, scratch + "/unpacked", kListFiles},
       .env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
      "", {.max_stdout = 16 << 20});
  if (!result.ok() || result->exit_code != 0 || result->out.empty()) {
    throw std::runtime_error(absl::StrCat("unpack ", image, ": ", result.status().ToString(), " ",
                                          result.ok() ? result->err : ""));
  }
  return result->out;
}

std::string Difference(const std::string& expected, const std::string& found) {
  if (expected == found) return "";
  const std::vector<std::string> want = absl::StrSplit(expected, '\n');
  const std::vector<std::string> have = absl::StrSplit(found, '\n');
  size_t line = 0;
  while (line < want.size() && line < have.size() && want[line] == have[line]) ++line;
  return absl::StrCat("expected \"", line < want.size() ? want[line] : "", "\", found \"",
                      line < have.size() ? have[line] : "", "\"");
}

}  // namespace crisp::test
