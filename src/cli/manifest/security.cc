// securityContext of pods and containers.
#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

constexpr int64_t kMaxId = INT32_MAX;

void DecodeProfile(Fields& fields, std::optional<Profile>& out) {
  Profile profile;
  if (fields.Require("type"))
    fields.Choice("type", profile.type,
                  {{"RuntimeDefault", ProfileType::kRuntimeDefault},
                   {"Unconfined", ProfileType::kUnconfined},
                   {"Localhost", ProfileType::kLocalhost}});
  fields.Text("localhostProfile", profile.localhost_profile);
  const bool is_local = profile.type == ProfileType::kLocalhost;
  if (is_local && profile.localhost_profile.empty())
    fields.Add("localhostProfile", "is needed with type Localhost");
  if (!is_local && fields.Has("localhostProfile"))
    fields.Add("localhostProfile", "is only for type Localhost");
  out = profile;
}

// What pods and containers have in common.
void DecodeShared(Fields& fields, SecurityContext& security) {
  fields.Int("runAsUser", security.run_as_user, 0, kMaxId);
  fields.Int("runAsGroup", security.run_as_group, 0, kMaxId);
  fields.Bool("runAsNonRoot", security.run_as_non_root);
  fields.Object("seLinuxOptions", [&](Fields& options) {
    SELinuxOptions& out = security.se_linux_options.emplace();
    options.Text("user", out.user);
    options.Text("role", out.role);
    options.Text("type", out.type);
    options.Text("level", out.level);
  });
  fields.Object("seccompProfile",
                [&](Fields& profile) { DecodeProfile(profile, security.seccomp_profile); });
  fields.Object("appArmorProfile",
                [&](Fields& profile) { DecodeProfile(profile, security.app_armor_profile); });
}

}  // namespace

void DecodeContainerSecurity(Fields& fields, SecurityContext& security) {
  DecodeShared(fields, security);
  fields.Bool("privileged", security.privileged);
  fields.Bool("readOnlyRootFilesystem", security.read_only_root_filesystem);
  fields.Bool("allowPrivilegeEscalation", security.allow_privilege_escalation);
  fields.Choice("procMount", security.unmasked_proc_mount,
                {{"Default", false}, {"Unmasked", true}});
  fields.Object("capabilities", [&](Fields& capabilities) {
    capabilities.Texts("add", security.capabilities_add);
    capabilities.Texts("drop", security.capabilities_drop);
  });
  if (security.privileged && security.allow_privilege_escalation == false)
    fields.Add("allowPrivilegeEscalation", "must not be false in a privileged container");
}

void DecodePodSecurity(Fields& fields, PodSecurity& security) {
  DecodeShared(fields, security.defaults);
  fields.Ints("supplementalGroups", security.supplemental_groups, kMaxId);
  fields.Choice("supplementalGroupsPolicy", security.strict_supplemental_groups,
                {{"Merge", false}, {"Strict", true}});
  fields.Int("fsGroup", security.fs_group, 0, kMaxId);
  bool is_always = true;  // the volumes that it is for are always new here
  fields.Choice("fsGroupChangePolicy", is_always, {{"Always", true}, {"OnRootMismatch", false}});
  fields.List("sysctls", [&](Fields& sysctl) {
    std::string name, value;
    if (sysctl.Require("name")) sysctl.Text("name", name);
    if (sysctl.Require("value")) sysctl.Text("value", value);
    if (!security.sysctls.emplace(name, value).second) sysctl.Add("name", "is given twice");
  });
}

}  // namespace crisp::cli
