// The one file that includes libseccomp.
//
// A filter has two parts. libseccomp's part decides about the system calls it knows, which are
// those up to its release (Debian 12: Linux 6.7). Instructions of our own before it decide about
// newer ones that a profile names (kNewSyscalls); numbers above the highest named one get ENOSYS.
// glibc falls back from a new call to an old one only on ENOSYS: what an allow list does with all
// others (EPERM, a signal) would break programs newer than the list. As with runc.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "ipc/seccomp_file.h"
#include "spec/fields.h"
#include "spec/seccomp.h"
#include "spec/seccomp_merge.h"

namespace crisp::spec {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kNativeAudit = AUDIT_ARCH_X86_64;
constexpr absl::string_view kRunnable[] = {"x86_64", "x86", "x32"};
#elif defined(__aarch64__)
constexpr uint32_t kNativeAudit = AUDIT_ARCH_AARCH64;
constexpr absl::string_view kRunnable[] = {"aarch64", "arm"};
#else
#error "add this architecture"
#endif

// From 424 on, a system call has the same number on all architectures.
struct NewSyscall {
  absl::string_view name;
  uint32_t number;
};
constexpr NewSyscall kNewSyscalls[] = {{"set_mempolicy_home_node", 450},
                                       {"cachestat", 451},
                                       {"fchmodat2", 452},
                                       {"map_shadow_stack", 453},
                                       {"futex_wake", 454},
                                       {"futex_wait", 455},
                                       {"futex_requeue", 456},
                                       {"statmount", 457},
                                       {"listmount", 458},
                                       {"lsm_get_self_attr", 459},
                                       {"lsm_set_self_attr", 460},
                                       {"lsm_list_modules", 461},
                                       {"mseal", 462},
                                       {"setxattrat", 463},
                                       {"getxattrat", 464},
                                       {"listxattrat", 465},
                                       {"removexattrat", 466},
                                       {"open_tree_attr", 467},
                                       {"file_getattr", 468},
                                       {"file_setattr", 469}};
constexpr uint32_t kFirstCommonNumber = 424;
// Higher numbers are those of x32 and private ones of arm.
constexpr uint32_t kLastPlainNumber = 0xffff;

struct ContextDeleter {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextDeleter>;

// SCMP_ACT_* values are the kernel's SECCOMP_RET_* values.
absl::StatusOr<uint32_t> Action(const std::string& name, std::optional<uint32_t> errno_ret) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(errno_ret.value_or(EPERM));
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(errno_ret.value_or(EPERM));
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  return Invalid("seccomp action", name, "is not supported");
}

// Whether a program may go on after a system call with this action. A tracer decides itself.
bool IsPermissive(uint32_t action) {
  const uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  return kind == SCMP_ACT_ALLOW || kind == SCMP_ACT_LOG || kind == SECCOMP_RET_TRACE;
}

absl::StatusOr<scmp_compare> Operator(const std::string& name) {
  if (name == "SCMP_CMP_NE") return SCMP_CMP_NE;
  if (name == "SCMP_CMP_LT") return SCMP_CMP_LT;
  if (name == "SCMP_CMP_LE") return SCMP_CMP_LE;
  if (name == "SCMP_CMP_EQ") return SCMP_CMP_EQ;
  if (name == "SCMP_CMP_GE") return SCMP_CMP_GE;
  if (name == "SCMP_CMP_GT") return SCMP_CMP_GT;
  if (name == "SCMP_CMP_MASKED_EQ") return SCMP_CMP_MASKED_EQ;
  return Invalid("seccomp operator", name, "is not supported");
}

// Names of the runtime spec that libseccomp 2.5 does not know.
bool IsUnsupported(absl::string_view architecture) {
  constexpr absl::string_view kNames[] = {"loongarch64", "m68k", "sh", "sheb"};
  return std::find(std::begin(kNames), std::end(kNames), architecture) != std::end(kNames);
}

absl::Status AddArchitectures(const oci::Seccomp& profile, scmp_filter_ctx context) {
  for (const std::string& architecture : profile.architectures) {
    absl::string_view name = architecture;
    std::string lower;
    if (absl::ConsumePrefix(&name, "SCMP_ARCH_")) lower = absl::AsciiStrToLower(name);
    if (lower.empty())
      return Invalid("seccomp architecture", architecture, "must begin with SCMP_ARCH_");
    const uint32_t token = seccomp_arch_resolve_name(lower.c_str());
    if (token == 0 && !IsUnsupported(lower))
      return Invalid("seccomp architecture", architecture, "is not an architecture");
    // Skipped: this host cannot run programs of that architecture.
    if (std::find(std::begin(kRunnable), std::end(kRunnable), lower) == std::end(kRunnable)) {
      continue;
    }
    const int result = seccomp_arch_add(context, token);
    if (result < 0 && result != -EEXIST) {
      return base::Errno("seccomp_arch_add", architecture, -result);
    }
  }
  return absl::OkStatus();
}

absl::Status AddRule(scmp_filter_ctx context, uint32_t action, int number, const std::string& name,
                     const std::vector<scmp_arg_cmp>& args) {
  const int result = seccomp_rule_add_array(context, action, number,
                                            static_cast<unsigned>(args.size()), args.data());
  // Profiles may repeat a rule (EEXIST) or have one with the default action (EACCES).
  if (result == 0 || result == -EEXIST || result == -EACCES) return absl::OkStatus();
  return base::Errno("seccomp_rule_add", name, -result);
}

// Several conditions on the same argument are alternatives, as in runc: libseccomp takes at most
// one condition per argument and rule.
absl::Status AddRules(scmp_filter_ctx context, uint32_t action, int number, const std::string& name,
                      const std::vector<oci::SeccompArg>& conditions) {
  std::vector<scmp_arg_cmp> args;
  unsigned seen = 0;
  bool repeated = false;
  for (const oci::SeccompArg& condition : conditions) {
    if (condition.index > 5) {
      return Invalid("seccomp argument", condition.index, "must be between 0 and 5");
    }
    CRISP_ASSIGN_OR_RETURN(const scmp_compare op, Operator(condition.op));
    args.push_back({condition.index, op, condition.value, condition.value_two});
    repeated = repeated || (seen >> condition.index & 1) != 0;
    seen |= 1u << condition.index;
  }
  if (!repeated) return AddRule(context, action, number, name, args);
  for (const scmp_arg_cmp& arg : args) {
    CRISP_RETURN_IF_ERROR(AddRule(context, action, number, name, {arg}));
  }
  return absl::OkStatus();
}

// The instructions before libseccomp's.
class Prologue {
 public:
  void Decide(uint32_t number, uint32_t action) { decisions_[number] = action; }
  // The profile decides about this number; with UnknownAreNew higher ones get ENOSYS.
  void Seen(int number) { highest_ = std::max(highest_, static_cast<uint32_t>(number)); }
  void UnknownAreNew() { unknown_are_new_ = true; }

  std::vector<sock_filter> Instructions() const {
    std::vector<sock_filter> body;
    const auto add = [&body](uint16_t code, uint8_t jt, uint8_t jf, uint32_t k) {
      body.push_back({code, jt, jf, k});
    };
    for (const auto& [number, action] : decisions_) {
      add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number);
      add(BPF_RET | BPF_K, 0, 0, action);
    }
    if (unknown_are_new_) {
      add(BPF_JMP | BPF_JGT | BPF_K, 0, 1, std::max(highest_, kFirstCommonNumber));
      add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
    }
    if (body.empty()) return body;
    const auto skip = static_cast<uint8_t>(body.size());
    const std::vector<sock_filter> head = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<uint8_t>(skip + 2), kNativeAudit},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JGT | BPF_K, skip, 0, kLastPlainNumber}};
    body.insert(body.begin(), head.begin(), head.end());
    return body;
  }

 private:
  std::map<uint32_t, uint32_t> decisions_;
  uint32_t highest_ = 0;
  bool unknown_are_new_ = false;
};

// With the default action (`fallback`) there is nothing to add, but the profile has decided.
absl::Status AddSyscall(const oci::SeccompSyscall& rule, const std::string& name, uint32_t action,
                        uint32_t fallback, scmp_filter_ctx context, Prologue& prologue) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  const auto found = std::find_if(std::begin(kNewSyscalls), std::end(kNewSyscalls),
                                  [&](const NewSyscall& known) { return known.name == name; });
  if (number != __NR_SCMP_ERROR) {
    prologue.Seen(std::max(number, 0));  // pseudo numbers of other architectures are negative
    if (action == fallback) return absl::OkStatus();
    return AddRules(context, action, number, name, rule.args);
  }
  if (found == std::end(kNewSyscalls)) return absl::OkStatus();
  prologue.Seen(static_cast<int>(found->number));
  if (action == fallback) return absl::OkStatus();
  if (!rule.args.empty()) {
    return Invalid("seccomp rule for", name, "arguments need a newer libseccomp");
  }
  prologue.Decide(found->number, action);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Export(scmp_filter_ctx context) {
  base::UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return base::Errno("memfd_create", "seccomp");
  const int result = seccomp_export_bpf(context, file.get());
  if (result < 0) return base::Errno("seccomp_export_bpf", "", -result);
  if (lseek(file.get(), 0, SEEK_SET) < 0) return base::Errno("lseek", "seccomp");
  return base::ReadAll(file.get());
}

// The time that libseccomp needs grows with the square of the rules. More would be too many
// instructions, too, unless they are repeated.
absl::Status CheckNumberOfRules(const oci::Seccomp& profile) {
  constexpr size_t kMaxRules = BPF_MAXINSNS;
  size_t rules = 0;
  for (const oci::SeccompSyscall& rule : profile.syscalls)
    rules += rule.names.size() * std::max<size_t>(rule.args.size(), 1);
  if (rules <= kMaxRules) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("profile has ", rules, " rules, at most ", kMaxRules));
}

absl::StatusOr<std::string> Compile(const oci::Seccomp& profile) {
  CRISP_RETURN_IF_ERROR(CheckNumberOfRules(profile));
  CRISP_ASSIGN_OR_RETURN(const uint32_t fallback,
                         Action(profile.default_action, profile.default_errno_ret));
  const Context context(seccomp_init(fallback));
  if (context == nullptr) {
    return Invalid("seccomp default action", profile.default_action, "is refused by libseccomp");
  }
  CRISP_RETURN_IF_ERROR(AddArchitectures(profile, context.get()));
  constexpr uint32_t kBinaryTree = 2;  // a search tree: few comparisons for any system call
  const int tree = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree);
  if (tree < 0) return base::Errno("seccomp_attr_set", "optimize", -tree);
  Prologue prologue;
  for (const oci::SeccompSyscall& rule : profile.syscalls) {
    CRISP_ASSIGN_OR_RETURN(const uint32_t action, Action(rule.action, rule.errno_ret));
    for (const std::string& name : rule.names) {
      CRISP_RETURN_IF_ERROR(AddSyscall(rule, name, action, fallback, context.get(), prologue));
    }
  }
  if (!IsPermissive(fallback)) prologue.UnknownAreNew();
  CRISP_ASSIGN_OR_RETURN(const std::string rest, Export(context.get()));
  const std::vector<sock_filter> first = prologue.Instructions();
  std::string filter(reinterpret_cast<const char*>(first.data()),
                     first.size() * sizeof(sock_filter));
  filter += rest;
  const size_t instructions = filter.size() / sizeof(sock_filter);
  if (instructions > ipc::kMaxSeccompInstructions) {
    return absl::InvalidArgumentError(absl::StrCat(
        "filter has ", instructions, " instructions, at most ", ipc::kMaxSeccompInstructions));
  }
  return filter;
}

// Profiles with equal keys compile to equal filters.
std::string Key(const oci::Seccomp& profile) {
  const auto number = [](std::optional<uint32_t> value) {
    return value.has_value() ? absl::StrCat(*value) : std::string("-");
  };
  std::string key = absl::StrCat(profile.default_action, " ", number(profile.default_errno_ret),
                                 "\n", absl::StrJoin(profile.architectures, " "), "\n");
  for (const oci::SeccompSyscall& rule : profile.syscalls) {
    absl::StrAppend(&key, rule.action, " ", number(rule.errno_ret));
    for (const oci::SeccompArg& arg : rule.args) {
      absl::StrAppend(&key, " ", arg.index, " ", arg.op, " ", arg.value, " ", arg.value_two);
    }
    absl::StrAppend(&key, "\n", absl::StrJoin(rule.names, " "), "\n");
  }
  return key;
}

class Cache {
 public:
  std::optional<std::string> Find(const std::string& key) {
    absl::MutexLock lock(&mu_);
    const auto found = filters_.find(key);
    if (found == filters_.end()) return std::nullopt;
    return found->second;
  }
  void Add(std::string key, std::string filter) {
    // One with thousands of names that do not exist would only take memory.
    if (key.size() > kMaxKeyBytes) return;
    absl::MutexLock lock(&mu_);
    // A node uses few profiles: with more, some are compiled again.
    if (filters_.size() >= kMaxFilters) filters_.clear();
    filters_.emplace(std::move(key), std::move(filter));
  }

 private:
  static constexpr size_t kMaxFilters = 64;
  static constexpr size_t kMaxKeyBytes = 128 << 10;
  absl::Mutex mu_;
  std::map<std::string, std::string> filters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<uint64_t> SeccompFlags(const oci::Seccomp& profile) {
  uint64_t flags = 0;
  for (const std::string& flag : profile.flags) {
    if (flag == "SECCOMP_FILTER_FLAG_LOG") {
      flags |= SECCOMP_FILTER_FLAG_LOG;
    } else if (flag == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") {
      flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    } else if (flag !=
               "SECCOMP_FILTER_FLAG_TSYNC") {  // the shim installs it before there are threads
      return Invalid("seccomp flag", flag, "is not supported");
    }
  }
  return flags;
}

namespace {

absl::StatusOr<std::string> CompileOnce(const oci::Seccomp& profile) {
  static Cache& cache = *new Cache;
  std::string key = Key(profile);
  if (std::optional<std::string> known = cache.Find(key); known.has_value())
    return *std::move(known);
  absl::StatusOr<std::string> filter = Compile(profile);
  if (!filter.ok()) return base::Prefix(filter.status(), "compile seccomp profile");
  cache.Add(std::move(key), *filter);
  return filter;
}

std::vector<sock_filter> Instructions(const std::string& bytes) {
  std::vector<sock_filter> filter(bytes.size() / sizeof(sock_filter));
  memcpy(filter.data(), bytes.data(), filter.size() * sizeof(sock_filter));
  return filter;
}

}  // namespace

absl::StatusOr<std::string> CompileSeccomp(const oci::Seccomp& profile,
                                           const std::optional<oci::Seccomp>& artifact) {
  ipc::SeccompHead head;
  const absl::string_view first(reinterpret_cast<const char*>(&head), sizeof(head));
  CRISP_ASSIGN_OR_RETURN(head.flags, SeccompFlags(profile));
  CRISP_ASSIGN_OR_RETURN(const std::string filter, CompileOnce(profile));
  if (!artifact.has_value()) return absl::StrCat(first, filter);
  CRISP_ASSIGN_OR_RETURN(const uint64_t more, SeccompFlags(*artifact));
  // One makes it stricter, the other one laxer.
  head.flags = ((head.flags | more) & SECCOMP_FILTER_FLAG_LOG) |
               (head.flags & more & SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  oci::Seccomp other = *artifact;
  // None means for an artifact: those of whatever it is merged with.
  if (other.architectures.empty()) other.architectures = profile.architectures;
  CRISP_ASSIGN_OR_RETURN(const std::string of_artifact, CompileOnce(other));
  CRISP_ASSIGN_OR_RETURN(const std::vector<sock_filter> both,
                         MergeFilters(Instructions(filter), Instructions(of_artifact)));
  return absl::StrCat(first, absl::string_view(reinterpret_cast<const char*>(both.data()),
                                               both.size() * sizeof(sock_filter)));
}

}  // namespace crisp::spec
