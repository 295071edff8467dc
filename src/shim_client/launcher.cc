#include "shim_client/launcher.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/failpoint_page.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "linux/reap.h"
#include "linux/spawn.h"

namespace crisp::shim_client {
namespace {

// The child's name for the program: it is the descriptor after the socket. The shim closes it at
// once.
constexpr char kProgramPath[] = "/proc/self/fd/4";

std::vector<std::string> ShimEnvironment() {
  // Without malloc's per-thread cache, freed memory goes back to the kernel (malloc_trim(3))
  // instead of staying in the cache in small pieces, each on another page: 20 KiB less per shim.
  std::vector<std::string> environment = {"GLIBC_TUNABLES=glibc.malloc.tcache_count=0"};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // A shim has no stderr: the sanitizers' reports must go to the files that crispd's go to.
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    const char* value = getenv(name);
    if (value != nullptr) environment.push_back(absl::StrCat(name, "=", value));
  }
#endif
  for (std::string& variable : base::FailpointEnvironment())
    environment.push_back(std::move(variable));
  return environment;
}

}  // namespace

absl::StatusOr<Launcher> Launcher::Create(const std::string& program) {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd source, base::Open(program, O_RDONLY));
  struct stat info;
  if (fstat(source.get(), &info) != 0) return base::Errno("stat", program);
  base::UniqueFd memory(memfd_create("crisp-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return base::Errno("memfd_create", "crisp-shim");
  for (off_t done = 0; done < info.st_size;) {
    const ssize_t n =
        sendfile(memory.get(), source.get(), &done, static_cast<size_t>(info.st_size - done));
    if (n <= 0) return base::Errno("copy", program, n == 0 ? EIO : errno);
  }
  if (fchmod(memory.get(), 0555) != 0) return base::Errno("fchmod", "crisp-shim");
  // F_SEAL_FUTURE_WRITE (Linux 5.1) instead of F_SEAL_WRITE: it refuses the same, since there is no
  // writable mapping. F_SEAL_WRITE fails with EBUSY while the kernel itself holds a reference to a
  // page (mm/memfd.c waits only 150 ms for that).
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return base::Errno("seal", "crisp-shim");
  // Executing a file that is open for writing is ETXTBSY: reopen it read-only.
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd sealed,
                         base::Open(absl::StrCat("/proc/self/fd/", memory.get()), O_RDONLY));
  rlimit open_files;
  if (getrlimit(RLIMIT_NOFILE, &open_files) != 0) return base::Errno("getrlimit", "");
  return Launcher(std::move(sealed), open_files);
}

absl::StatusOr<LaunchedShim> Launcher::Launch(const std::string& bundle,
                                              const std::string& container_id) const {
  const std::string path = base::JoinPath(bundle, base::kShimSocket);
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd socket, ipc::Listen(path));
  base::Failpoint("launch shim: socket bound");
  const linux::Command command = {
      .path = kProgramPath, .args = {"crisp-shim", bundle, container_id}, .env = ShimEnvironment()};
  CRISP_ASSIGN_OR_RETURN(linux::Child child,
                         linux::Spawn(command, {-1, -1, -1, socket.get(), program_.get()}));
  base::Failpoint("launch shim: spawned");
  LaunchedShim shim;
  shim.pidfd = std::move(child.pidfd);
  // In time: the shim starts nothing before it is asked to.
  if (prlimit(child.pid, RLIMIT_NOFILE, &open_files_, nullptr) != 0) {
    const absl::Status status = base::Errno("prlimit", "crisp-shim");
    linux::EndChild(child.pid, shim.pidfd.get());
    return status;
  }
  // The socket listens already, so connecting does not wait for the shim.
  for (ipc::Channel* channel : {&shim.tether, &shim.operation}) {
    absl::StatusOr<ipc::Channel> connected = ipc::Connect(path);
    if (!connected.ok()) {
      linux::EndChild(child.pid, shim.pidfd.get());  // Monitor never gets to know it
      return connected.status();
    }
    *channel = *std::move(connected);
  }
  base::Failpoint("launch shim: connected");
  return shim;
}

}  // namespace crisp::shim_client
