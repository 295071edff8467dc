#include "spec/capabilities.h"

#include <sys/prctl.h>

#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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

CapabilityMask DefaultCapabilities() {
  return linux::ParseCapabilities({std::begin(kDefaults), std::end(kDefaults)}).value();
}

struct Words {
  bool all = false;
  CapabilityMask mask = 0;
};

Words Parse(absl::string_view field, const google::protobuf::RepeatedPtrField<std::string>& words,
            std::vector<std::string>& warnings) {
  Words result;
  for (int i = 0; i < words.size(); ++i) {
    std::string name = absl::AsciiStrToUpper(words[i]);
    if (name == kAll) {
      result.all = true;
      continue;
    }
    if (!absl::StartsWith(name, "CAP_")) name = absl::StrCat("CAP_", name);
    absl::StatusOr<CapabilityMask> mask = linux::ParseCapabilities({name});
    if (mask.ok()) {
      result.mask |= *mask;
      continue;
    }
    const absl::Status unknown = Invalid(absl::StrCat("capabilities.", field, "[", i, "]"),
                                         words[i], "is not a capability, ignored");
    warnings.emplace_back(unknown.message());
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

ContainerCapabilities CapabilitiesOf(const v1::LinuxContainerSecurityContext& context,
                                     CapabilityMask held) {
  ContainerCapabilities result;
  const v1::Capability& words = context.capabilities();
  const Words add = Parse("add", words.add_capabilities(), result.warnings);
  const Words drop = Parse("drop", words.drop_capabilities(), result.warnings);
  const Words raise = Parse("ambient", words.add_ambient_capabilities(), result.warnings);
  CapabilityMask mask = held;
  CapabilityMask ambient = 0;
  if (!IsPrivileged(context)) {
    if (drop.all) {
      mask = 0;
    } else if (!add.all) {
      mask = DefaultCapabilities();
    }
    mask = (mask | add.mask | raise.mask) & ~drop.mask & held;
    ambient = (raise.all ? mask : raise.mask) & mask;
  }
  oci::Capabilities& sets = result.sets;
  sets.bounding = sets.effective = sets.permitted = linux::CapabilityNames(mask);
  sets.ambient = sets.inheritable = linux::CapabilityNames(ambient);
  return result;
}

}  // namespace crisp::spec
