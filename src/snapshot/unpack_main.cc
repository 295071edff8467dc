#include "snapshot/unpack_main.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <new>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "snapshot/unpack_isolation.h"
#include "snapshot/unpack_roles.h"

namespace crisp::snapshot {
namespace {

// When memory runs out, a process that parses is the first to go. crispd's value, which it has
// inherited, would make it the last.
void BeFirstToGo() { (void)base::WriteExisting("/proc/self/oom_score_adj", "1000"); }

absl::Status Decode(const FrameSocket& input, const FrameSocket& output) {
  CRISP_RETURN_IF_ERROR(Isolate(UnpackRole::kDecode, base::UniqueFd(kMountNamespace)));
  CRISP_ASSIGN_OR_RETURN(const ChunkMemory compressed,
                         ChunkMemory::Map(base::UniqueFd(kInputMemory), /*writable=*/false));
  CRISP_ASSIGN_OR_RETURN(const ChunkMemory plain,
                         ChunkMemory::Map(base::UniqueFd(kOutputMemory), /*writable=*/true));
  ChunkReader reader(input, compressed);
  ChunkWriter writer(output, plain);
  return DecodeLayer(reader, writer);
}

absl::Status Untar(const FrameSocket& crispd, const UnpackLimits& limits) {
  CRISP_RETURN_IF_ERROR(Isolate(UnpackRole::kUntar, base::UniqueFd(kMountNamespace)));
  CRISP_ASSIGN_OR_RETURN(const ChunkMemory plain,
                         ChunkMemory::Map(base::UniqueFd(kInputMemory), /*writable=*/false));
  // A mount's own descriptor is O_PATH, which chown(2) and the like do not take.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd root,
                         base::OpenAt(kLayerDirectory, ".", O_RDONLY | O_DIRECTORY));
  return UntarLayer(crispd, plain, root.get(), limits);
}

// Descriptor 2 must not become one of the layer's files, which messages of the C library would go
// to then. Under a sanitizer crispd passes its own, for the report.
void CloseTheRest(int used) {
  (void)close_range(static_cast<unsigned>(used), ~0u, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  (void)dup2(kInputMemory, STDERR_FILENO);  // cannot be written
#endif
}

}  // namespace

int UnpackMain(int argc, char** argv) {
  (void)prctl(PR_SET_NAME, "crisp-unpack");
  BeFirstToGo();
  std::set_new_handler([] { _exit(kNoMemory); });
  const absl::string_view role = argc > 1 ? argv[1] : "";
  UnpackLimits limits;
  if (argc == 2 && role == "decode") {
    CloseTheRest(kOutputMemory + 1);
    // Open until crispd has the result: its end tells crispd that this process is gone.
    const FrameSocket input{base::UniqueFd(kInputSocket)};
    const FrameSocket output{base::UniqueFd(kOutputSocket)};
    Conclude(output, Decode(input, output));
  } else if (argc == 4 && role == "untar" && absl::SimpleAtoi(argv[2], &limits.min_free_bytes) &&
             absl::SimpleAtoi(argv[3], &limits.min_free_inodes)) {
    CloseTheRest(kLayerDirectory + 1);
    const FrameSocket crispd{base::UniqueFd(kInputSocket)};
    Conclude(crispd, Untar(crispd, limits));
  } else {
    fputs("usage: crisp-unpack decode | untar <bytes> <inodes>, started by crispd\n", stderr);
    return kUsage;
  }
  _exit(0);
}

}  // namespace crisp::snapshot
