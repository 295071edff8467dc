// The AppArmor profile of RuntimeDefault.
#pragma once

namespace crisp::spec {

inline constexpr char kDefaultAppArmorProfile[] = "crisp-default";

// Its policy text, for linux::LoadAppArmorPolicy; it includes no file of the host (no tunables, no
// abstractions, no abi). It protects kernel settings, raw memory and security file systems of the
// host and forbids mounting, also in containers that were given more capabilities, system calls or
// paths than the default.
extern const char kDefaultAppArmorPolicy[];

}  // namespace crisp::spec
