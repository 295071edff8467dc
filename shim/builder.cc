#include "shim/builder.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "ipc/seccomp_file.h"
#include "linux/syscalls.h"
#include "oci/runtime_spec_codec.h"
#include "shim/build_context.h"
#include "shim/child/step.h"
#include "shim/plan_compiler.h"

namespace crisp::shim {
namespace {

using ipc::Step;

// Nothing else that the shim has open may reach the container: connections of crispd, the log,
// streams of other processes.
void CloseInherited(const BuilderInput& input) {
  std::vector<int> keep = {input.done,           input.stdio[0],  input.stdio[1],
                           input.stdio[2],       input.barrier,   input.gate,
                           input.console_socket, input.args_file, input.clone_into};
  if (input.cgroup != nullptr) {
    for (const base::UniqueFd& tasks : input.cgroup->tasks) keep.push_back(tasks.get());
  }
  std::sort(keep.begin(), keep.end());
  unsigned next = 3;
  for (const int fd : keep) {
    if (fd < static_cast<int>(next)) continue;
    if (fd > static_cast<int>(next)) close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_range(next, ~0u, 0);
}

absl::StatusOr<oci::Spec> ReadExecSpec(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(bundle, base::kExecSpecFile)));
  return oci::DecodeExecSpec(text);
}

absl::Status ReadSpec(BuildContext& context) {
  const std::string bundle = context.input.bundle;
  if (context.exec != nullptr) {
    absl::StatusOr<oci::Spec> part = ReadExecSpec(bundle);
    if (part.ok()) context.spec = *std::move(part);
    // A container that an older crispd created has only the whole.
    if (!absl::IsNotFound(part.status())) return part.status();
  }
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(bundle, base::kSpecFile)));
  CRISP_ASSIGN_OR_RETURN(context.spec, oci::DecodeRuntimeSpecWithoutSeccomp(text));
  return absl::OkStatus();
}

// The filter that crispd compiled, and its flags. No file: no filter.
absl::Status ReadSeccomp(BuildContext& context) {
  const absl::StatusOr<std::string> bytes =
      base::ReadFile(base::JoinPath(context.input.bundle, base::kSeccompFile));
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  if (!bytes.ok()) return bytes.status();
  ipc::SeccompHead head;
  if (bytes->size() >= sizeof(head)) memcpy(&head, bytes->data(), sizeof(head));
  const absl::string_view filter = absl::ClippedSubstr(*bytes, sizeof(head));
  if (filter.empty() || filter.size() % sizeof(sock_filter) != 0 ||
      filter.size() / sizeof(sock_filter) > BPF_MAXINSNS ||
      (head.flags & ~ipc::kSeccompFlags) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(base::kSeccompFile, ": ", bytes->size(),
                                                   " bytes are not a valid seccomp filter"));
  }
  context.seccomp_flags = head.flags;
  context.seccomp.resize(filter.size() / sizeof(sock_filter));
  memcpy(context.seccomp.data(), filter.data(), filter.size());
  return absl::OkStatus();
}

// A step of its own, because a bundle that crispd wrote badly is not the client's mistake as an
// invalid spec is.
bool ReadBundle(BuildContext& context) {
  absl::Status status = ReadSpec(context);
  if (status.ok()) status = ReadSeccomp(context);
  return status.ok() || context.Fail(status);
}

bool TakePlan(BuildContext& context, absl::StatusOr<LaunchPlan> plan) {
  if (!plan.ok()) return context.Fail(plan.status());
  context.plan = *std::move(plan);
  context.plan.process.seccomp = std::move(context.seccomp);
  context.plan.process.seccomp_flags = context.seccomp_flags;
  return true;
}

bool CompileContainer(BuildContext& context) {
  if (!TakePlan(context, CompileLaunch(context.spec, *context.start))) return false;
  context.plan.bundle = context.input.bundle;
  context.plan.barrier = context.input.barrier;
  return true;
}

bool CompileProcessToAdd(BuildContext& context) {
  if (!context.exec->args_in_file())
    return TakePlan(context, CompileExec(context.spec, *context.exec));
  // The kernel judges how much is too much, at execve: at most 6 MiB (execve(2)).
  constexpr size_t kMaxBytes = 8 << 20;
  struct stat info;
  if (fstat(context.input.args_file, &info) != 0) return context.Fail("the file of arguments");
  if (info.st_size > static_cast<off_t>(kMaxBytes)) return context.Fail("the command", E2BIG);
  const absl::StatusOr<std::string> bytes = base::ReadAll(context.input.args_file, kMaxBytes);
  if (!bytes.ok()) return context.Fail(bytes.status());
  ::shim::v1::Exec exec;
  if (!exec.ParseFromString(*bytes)) return context.Fail("the file is not an Exec", EBADMSG);
  return TakePlan(context, CompileExec(context.spec, exec));
}

// crispd makes the group while the steps before this one are done.
bool AwaitCgroup(BuildContext& context) {
  char go;
  ssize_t n = 0;
  do {
    n = read(context.input.gate, &go, 1);
  } while (n < 0 && errno == EINTR);
  if (n != 1) return context.Fail("the start was given up", ECANCELED);
  const ::shim::v1::Start& start = *context.start;
  absl::StatusOr<cgroup::JoinFds> group =
      cgroup::OpenJoin({.v2 = start.cgroup_v2(),
                        .v1 = {start.cgroup_v1().begin(), start.cgroup_v1().end()},
                        .oom_file = ""});
  if (!group.ok()) return context.Fail(group.status());
  context.cgroup = *std::move(group);
  return GiveCgroup(context) && PrepareCgroupBinds(context);
}

[[noreturn]] void RunChild(const BuildContext& context) {
  Child child = {.process = context.plan.process,
                 .launch = context.exec == nullptr ? &context.plan : nullptr,
                 .report = *context.input.report};
  context.exec == nullptr ? RunInitSteps(child) : RunExecSteps(child);
  _exit(1);
}

bool CloneChild(BuildContext& context) {
  const cgroup::JoinFds& group =
      context.input.cgroup != nullptr ? *context.input.cgroup : context.cgroup;
  for (const base::UniqueFd& tasks : group.tasks)
    context.plan.process.v1_tasks.push_back(tasks.get());
  if (context.exec != nullptr && context.plan.process.pid_namespace >= 0) {
    context.input.report->builder_is_helper = true;
    RunChild(context);
  }
  clone_args args = {};
  args.flags = CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_INTO_CGROUP | context.clone_flags;
  // The kernel stores the pid before the child runs: the shim can kill the child even if the
  // builder dies right after the clone.
  Report& report = *context.input.report;
  args.parent_tid = reinterpret_cast<uint64_t>(
      context.plan.process.pid_namespace < 0 ? &report.child : &report.helper);
  args.cgroup = static_cast<uint64_t>(context.input.clone_into >= 0 ? context.input.clone_into
                                                                    : group.v2.get());
  const pid_t pid = linux::Clone3(args);
  if (pid == 0) RunChild(context);
  return pid > 0 || context.Fail("clone3");
}

struct BuildStep {
  ipc::Step step;
  bool (*run)(BuildContext&);
};

// clang-format off
constexpr BuildStep kContainerSteps[] = {
    {Step::kBundle,         ReadBundle},
    {Step::kSpec,           CompileContainer},
    {Step::kNamespaces,     PrepareNamespaces},      // checks that the sandbox still runs
    {Step::kMountSources,   PrepareMountSources},    // needs the host's mounts
    {Step::kMountNamespace, PrepareMountNamespace},  // mounts made from here on are private
    {Step::kRootfs,         PrepareRootfs},
    {Step::kImageMounts,    PrepareImageMounts},
    {Step::kProcess,        PrepareProcess},
    {Step::kAwaitCgroup,    AwaitCgroup},            // late, so that it need not wait long
    {Step::kJoinNamespaces, JoinNamespaces},         // late: in a user namespace the builder has
                                                     // no rights on the host any more
    {Step::kClone,          CloneChild},
};

constexpr BuildStep kExecSteps[] = {
    {Step::kBundle,         ReadBundle},
    {Step::kSpec,           CompileProcessToAdd},
    {Step::kProcess,        PrepareProcess},
    {Step::kJoinNamespaces, JoinContainer},
    {Step::kClone,          CloneChild},
};
// clang-format on

template <size_t N>
[[noreturn]] void Build(const BuildStep (&steps)[N], BuildContext& context) {
  CloseInherited(context.input);
  for (const BuildStep& step : steps) {
    // Not after the clone: the child writes the report then.
    context.input.report->Begin(step.step);
    base::Failpoint("builder: ", ipc::StepName(step.step));
    if (!step.run(context)) _exit(1);
  }
  base::Failpoint("builder: cloned");
  const char created = 'c';
  (void)!write(context.input.done, &created, 1);  // fails only when the shim is gone
  _exit(0);
}

}  // namespace

void BuildContainer(const BuilderInput& input, const ::shim::v1::Start& start) {
  BuildContext context = {.input = input, .start = &start};
  Build(kContainerSteps, context);
}

void BuildExec(const BuilderInput& input, const ::shim::v1::Exec& exec) {
  BuildContext context = {.input = input, .exec = &exec};
  Build(kExecSteps, context);
}

}  // namespace crisp::shim
