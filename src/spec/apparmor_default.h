// The AppArmor profile of RuntimeDefault.
#pragma once

namespace crisp::spec {

inline constexpr char kDefaultAppArmorProfile[] = "crisp-default";

// Its policy text, for linux::LoadAppArmorPolicy: needs no file of the host (no tunables, no
// abstractions, no abi). A second line behind capabilities, seccomp and the masked and read-only
// paths, for the containers that were given more of those: it keeps kernel settings, raw memory and
// security file systems of the host out of reach and forbids mounting.
extern const char kDefaultAppArmorPolicy[];

}  // namespace crisp::spec
