// crisp-shim <bundle> <container id>: runs one container; see supervisor.h. Descriptor 3 is the
// listening socket the daemon donates. The id is there for people who look at ps. crisp-shim
// --print-plan <bundle>: prints what would be done for config.json of the bundle.
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/file.h"
#include "base/paths.h"
#include "oci/runtime_spec_codec.h"
#include "shim/plan_compiler.h"
#include "shim/plan_printer.h"
#include "shim/supervisor.h"

namespace crisp::shim {
namespace {

constexpr int kListener = 3;

// Static, so that only what is used of it ever becomes memory.
Supervisor supervisor;

int PrintBundle(const char* bundle) {
  const absl::StatusOr<std::string> text = base::ReadFile(base::JoinPath(bundle, base::kSpecFile));
  const absl::StatusOr<oci::Spec> spec = text.ok() ? oci::DecodeRuntimeSpec(*text) : text.status();
  const absl::StatusOr<LaunchPlan> plan =
      spec.ok() ? CompileLaunch(*spec, ::shim::v1::Start()) : spec.status();
  if (!plan.ok()) {
    fprintf(stderr, "crisp-shim: %s\n", std::string(plan.status().message()).c_str());
    return 1;
  }
  const std::string words = PrintPlan(*plan);
  return fwrite(words.data(), 1, words.size(), stdout) == words.size() ? 0 : 1;
}

// Nothing of whoever started us may reach a container, and no container may look into us.
void Isolate() {
  (void)close_range(kListener + 1, ~0u, 0);
  (void)prctl(PR_SET_NAME, "crisp-shim");
  (void)prctl(PR_SET_DUMPABLE, 0);
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  (void)setsid();
  if (chdir("/") != 0) _exit(1);
  umask(0);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace
}  // namespace crisp::shim

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--print-plan") == 0) return crisp::shim::PrintBundle(argv[2]);
  if (argc != 3 || argv[1][0] != '/') {
    fputs("usage: crisp-shim <bundle> <container id>, started by crispd\n", stderr);
    return 2;
  }
  crisp::shim::Isolate();
  crisp::shim::supervisor.Run(argv[1], crisp::base::UniqueFd(crisp::shim::kListener));
  _exit(0);  // no destructors: the kernel closes faster
}
