// crisp-shim <bundle> <container id>: runs one container; see supervisor.h. It is started before
// crispd knows which: both arguments are dashes until it is told, on the socket that is descriptor
// 3, and gets its sockets. They are there to be seen in ps(1). Started by linux/spawn.h,
// so with default signal actions. crisp-shim --print-plan <bundle>: prints the launch plan of the
// bundle's config.json.
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"
#include "oci/runtime_spec_codec.h"
#include "shim/native_runtime.h"
#include "shim/plan_compiler.h"
#include "shim/plan_printer.h"
#include "shim/supervisor.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {
namespace {

constexpr int kAdoption = 3;

// Static: pages of it that are never touched cost no memory.
Supervisor supervisor;
NativeRuntime runtime;

int PrintBundle(const char* bundle) {
  const absl::StatusOr<std::string> text = base::ReadFile(base::JoinPath(bundle, base::kSpecFile));
  const absl::StatusOr<oci::Spec> spec = text.ok() ? oci::DecodeRuntimeSpec(*text) : text.status();
  const absl::StatusOr<LaunchPlan> plan =
      spec.ok() ? CompileLaunch(*spec, ::shim::v1::Start()) : spec.status();
  if (!plan.ok()) {
    fprintf(stderr, "crisp-shim: %s\n", std::string(plan.status().message()).c_str());
    return 1;
  }
  const std::string lines = PrintPlan(*plan);
  return fwrite(lines.data(), 1, lines.size(), stdout) == lines.size() ? 0 : 1;
}

// Nothing inherited from crispd may reach a container, and no container may ptrace the shim or read
// its memory.
void Isolate() {
  (void)close_range(kAdoption + 1, ~0u, 0);
  (void)prctl(PR_SET_NAME, "crisp-shim");
  (void)prctl(PR_SET_DUMPABLE, 0);
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (chdir("/") != 0) _exit(1);
  umask(0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

// The container's session keyring, with runc's name: init and execs inherit it from the shim.
// Without one they would share crispd's, and see keys of the host and of other containers
// (session-keyring(7)). No other container can join it by its name: that takes the right to search
// it. 0, or why there is none, as when a quota is used up; not when the kernel has no keyrings, or
// a filter over crispd lets nobody have one.
int JoinKeyring(const char* id) {
  const std::string name = std::string("_ses.") + id;
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()) >= 0) return 0;
  return errno == ENOSYS || errno == EPERM ? 0 : errno;
}

// Waits until there is a container, and writes what it is over the arguments. Returns the listening
// socket and the connections that crispd has made already; nothing when crispd has ended first, has
// never been there, or there were no descriptors for them.
std::vector<base::UniqueFd> AwaitAdoption(char* bundle, char* id) {
  const ipc::Channel crispd{base::UniqueFd(kAdoption)};
  std::vector<base::UniqueFd> fds;
  const auto adopt = crispd.ReceiveMessage<::shim::v1::Adopt>(&fds);
  if (!adopt.ok() || fds.size() != 3 || adopt->bundle().size() != strlen(bundle) ||
      adopt->container_id().size() != strlen(id)) {
    return {};
  }
  memcpy(bundle, adopt->bundle().data(), adopt->bundle().size());
  memcpy(id, adopt->container_id().data(), adopt->container_id().size());
  return fds;
}

}  // namespace
}  // namespace crisp::shim

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--print-plan") == 0) return crisp::shim::PrintBundle(argv[2]);
  if (argc != 3 || argv[1][0] != '-') {
    fputs("usage: crisp-shim <bundle> <container id>, started by crispd\n", stderr);
    return 2;
  }
  crisp::shim::Isolate();
  std::vector<crisp::base::UniqueFd> sockets = crisp::shim::AwaitAdoption(argv[1], argv[2]);
  if (sockets.empty()) _exit(1);
  const int keyring_error = crisp::shim::JoinKeyring(argv[2]);
  crisp::base::Failpoint("shim: begins");
  crisp::shim::supervisor.Run(argv[1], std::move(sockets), crisp::shim::runtime, keyring_error);
  crisp::base::Failpoint("shim: ends");
  _exit(0);  // without destructors: the kernel closes everything faster
}
