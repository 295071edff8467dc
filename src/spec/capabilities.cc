#include "spec/capabilities.h"

#include <sys/prctl.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/privileged.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;
using linux::CapabilityMask;

constexpr char kAll[] = "ALL";

// Docker's and containerd's defaults, which critest expects too.
constexpr const char* kDefaults[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE"};

struct Words {
  bool all = false;
  CapabilityMask mask = 0;
};

absl::StatusOr<Words> Parse(absl::string_view field,
                            const google::protobuf::RepeatedPtrField<std::string>& words) {
  Words result;
  for (int i = 0; i < words.size(); ++i) {
    std::string name = absl::AsciiStrToUpper(words[i]);
    if (name == kAll) {
      result.all = true;
      continue;
    }
    if (!absl::StartsWith(name, "CAP_")) name = absl::StrCat("CAP_", name);
    absl::StatusOr<CapabilityMask> mask = linux::ParseCapabilities({name});
    if (!mask.ok()) {
      return Invalid(absl::StrCat(field, "[", i, "]"), words[i], "is not a capability");
    }
    result.mask |= *mask;
  }
  return result;
}

}  // namespace

CapabilityMask HeldCapabilities() {
  CapabilityMask held = 0;
  for (unsigned long number = 0; number < 64; ++number) {
    const int answer = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
    if (answer < 0) break;  // higher than the last capability of this kernel
    if (answer == 1) held |= CapabilityMask{1} << number;
  }
  return held;
}

absl::StatusOr<oci::Capabilities> ContainerCapabilities(
    const v1::LinuxContainerSecurityContext& context, CapabilityMask held) {
  CRISP_ASSIGN_OR_RETURN(const Words add, Parse("capabilities.add_capabilities",
                                                context.capabilities().add_capabilities()));
  CRISP_ASSIGN_OR_RETURN(const Words drop, Parse("capabilities.drop_capabilities",
                                                 context.capabilities().drop_capabilities()));
  CRISP_ASSIGN_OR_RETURN(const Words raise,
                         Parse("capabilities.add_ambient_capabilities",
                               context.capabilities().add_ambient_capabilities()));
  CapabilityMask mask = held;
  CapabilityMask ambient = 0;
  if (!IsPrivileged(context)) {
    CRISP_ASSIGN_OR_RETURN(mask,
                           linux::ParseCapabilities({std::begin(kDefaults), std::end(kDefaults)}));
    if (add.all) mask = held;
    if (drop.all) mask = 0;
    mask = (mask | add.mask | raise.mask) & ~drop.mask & held;
    ambient = (raise.all ? mask : raise.mask) & mask;
  }
  oci::Capabilities result;
  result.bounding = result.effective = result.permitted = linux::CapabilityNames(mask);
  result.ambient = result.inheritable = linux::CapabilityNames(ambient);
  return result;
}

}  // namespace crisp::spec
