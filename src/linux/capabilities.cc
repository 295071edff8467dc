#include "linux/capabilities.h"

#include <iterator>

#include "absl/strings/str_cat.h"

namespace crisp::linux {
namespace {

// By number, include/uapi/linux/capability.h.
constexpr const char* kNames[] = {"CAP_CHOWN",
                                  "CAP_DAC_OVERRIDE",
                                  "CAP_DAC_READ_SEARCH",
                                  "CAP_FOWNER",
                                  "CAP_FSETID",
                                  "CAP_KILL",
                                  "CAP_SETGID",
                                  "CAP_SETUID",
                                  "CAP_SETPCAP",
                                  "CAP_LINUX_IMMUTABLE",
                                  "CAP_NET_BIND_SERVICE",
                                  "CAP_NET_BROADCAST",
                                  "CAP_NET_ADMIN",
                                  "CAP_NET_RAW",
                                  "CAP_IPC_LOCK",
                                  "CAP_IPC_OWNER",
                                  "CAP_SYS_MODULE",
                                  "CAP_SYS_RAWIO",
                                  "CAP_SYS_CHROOT",
                                  "CAP_SYS_PTRACE",
                                  "CAP_SYS_PACCT",
                                  "CAP_SYS_ADMIN",
                                  "CAP_SYS_BOOT",
                                  "CAP_SYS_NICE",
                                  "CAP_SYS_RESOURCE",
                                  "CAP_SYS_TIME",
                                  "CAP_SYS_TTY_CONFIG",
                                  "CAP_MKNOD",
                                  "CAP_LEASE",
                                  "CAP_AUDIT_WRITE",
                                  "CAP_AUDIT_CONTROL",
                                  "CAP_SETFCAP",
                                  "CAP_MAC_OVERRIDE",
                                  "CAP_MAC_ADMIN",
                                  "CAP_SYSLOG",
                                  "CAP_WAKE_ALARM",
                                  "CAP_BLOCK_SUSPEND",
                                  "CAP_AUDIT_READ",
                                  "CAP_PERFMON",
                                  "CAP_BPF",
                                  "CAP_CHECKPOINT_RESTORE"};

constexpr int kMaxCapabilities = 64;

std::string CapabilityName(int number) {
  const auto index = static_cast<size_t>(number);
  return index < std::size(kNames) ? kNames[index] : absl::StrCat("CAP_", number);
}

}  // namespace

absl::StatusOr<CapabilityMask> ParseCapabilities(const std::vector<std::string>& names) {
  CapabilityMask mask = 0;
  for (const std::string& name : names) {
    int number = 0;
    while (number < kMaxCapabilities && name != CapabilityName(number)) ++number;
    if (number == kMaxCapabilities) {
      return absl::InvalidArgumentError(absl::StrCat("capability \"", name, "\" does not exist"));
    }
    mask |= CapabilityMask{1} << number;
  }
  return mask;
}

std::vector<std::string> CapabilityNames(CapabilityMask mask) {
  std::vector<std::string> names;
  for (int i = 0; i < kMaxCapabilities; ++i) {
    if ((mask >> i & 1) != 0) names.push_back(CapabilityName(i));
  }
  return names;
}

}  // namespace crisp::linux
