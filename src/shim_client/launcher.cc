#include "shim_client/launcher.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/failpoint_page.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "linux/reap.h"
#include "linux/spawn.h"
#include "shim/v1/shim.pb.h"

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

struct Program {
  base::UniqueFd file;  // sealed, in memory
  rlimit open_files;    // of the shims
};

struct Connection {
  ipc::Channel ours;
  base::UniqueFd theirs;
};

absl::StatusOr<Connection> Connect() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return base::Errno("socketpair", "");
  return Connection{.ours = ipc::Channel(base::UniqueFd(ends[0])),
                    .theirs = base::UniqueFd(ends[1])};
}

absl::StatusOr<NamelessShim> Spawn(const Program& program, ArgumentSizes sizes) {
  CRISP_ASSIGN_OR_RETURN(Connection adoption, Connect());
  NamelessShim shim = {.process = {}, .adoption = std::move(adoption.ours), .sizes = sizes};
  const linux::Command command = {
      .path = kProgramPath,
      .args = {"crisp-shim", std::string(sizes.bundle, '-'), std::string(sizes.id, '-')},
      .env = ShimEnvironment()};
  CRISP_ASSIGN_OR_RETURN(
      shim.process, linux::Spawn(command, {-1, -1, -1, adoption.theirs.get(), program.file.get()}));
  // In time: the shim starts nothing before it is asked to.
  if (prlimit(shim.process.pid, RLIMIT_NOFILE, &program.open_files, nullptr) == 0) return shim;
  const absl::Status status = base::Errno("prlimit", "crisp-shim");
  linux::EndChild(shim.process.pid, shim.process.pidfd.get());
  return status;
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
  const auto shared = std::make_shared<const Program>(Program{std::move(sealed), open_files});
  return Launcher([shared](ArgumentSizes sizes) { return Spawn(*shared, sizes); });
}

absl::StatusOr<NamelessShim> Launcher::Adopt(const std::string& bundle,
                                             const std::string& container_id,
                                             const std::vector<int>& sockets) const {
  shim::v1::Adopt adopt;
  adopt.set_bundle(bundle);
  adopt.set_container_id(container_id);
  const ArgumentSizes sizes = {.bundle = bundle.size(), .id = container_id.size()};
  if (std::optional<NamelessShim> spare = spare_->Take(sizes)) {
    if (spare->adoption.Send(adopt, sockets).ok()) return *std::move(spare);
    linux::EndChild(spare->process.pid, spare->process.pidfd.get());  // something has killed it
  }
  CRISP_ASSIGN_OR_RETURN(NamelessShim shim, spawn_(sizes));
  const absl::Status sent = shim.adoption.Send(adopt, sockets);
  // One that has ended already is known by its tether.
  if (sent.ok() || absl::IsUnavailable(sent)) return shim;
  linux::EndChild(shim.process.pid, shim.process.pidfd.get());
  return sent;
}

absl::StatusOr<LaunchedShim> Launcher::Launch(const std::string& bundle,
                                              const std::string& container_id) const {
  const std::string path = base::JoinPath(bundle, base::kShimSocket);
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd socket, ipc::Listen(path));
  base::Failpoint("launch shim: socket bound");
  CRISP_ASSIGN_OR_RETURN(Connection tether, Connect());
  CRISP_ASSIGN_OR_RETURN(Connection operation, Connect());
  CRISP_ASSIGN_OR_RETURN(
      NamelessShim adopted,
      Adopt(bundle, container_id, {socket.get(), tether.theirs.get(), operation.theirs.get()}));
  base::Failpoint("launch shim: adopted");
  return LaunchedShim{.pidfd = std::move(adopted.process.pidfd),
                      .operation = std::move(operation.ours),
                      .tether = std::move(tether.ours)};
}

}  // namespace crisp::shim_client
