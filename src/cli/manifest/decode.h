// The parts of DecodeManifest, one file each. Internal to the decoder.
#pragma once

#include "cli/manifest/fields.h"
#include "cli/manifest/manifest.h"

namespace crisp::cli {

void DecodeMeta(Fields& fields, ObjectMeta& meta);
void DecodePodSpec(Fields& fields, PodSpec& spec);
void DecodeContainer(Fields& fields, bool is_init, Container& container);
void DecodeContainerSecurity(Fields& fields, SecurityContext& security);
void DecodePodSecurity(Fields& fields, PodSecurity& security);
// Probes and lifecycle hooks; after the ports, which they may name.
void DecodeProbes(Fields& fields, Container& container);
void DecodeEnv(Fields& fields, Container& container);
void DecodeVolume(Fields& fields, Volume& volume);
// fieldRef and resourceFieldRef; `in_volume` decides which fields and whether a container is named.
void DecodeFieldRef(Fields& fields, bool in_volume, std::optional<std::string>& path);
void DecodeResourceFieldRef(Fields& fields, bool in_volume, std::optional<ResourceFieldRef>& ref);
void DecodePullPolicy(Fields& fields, absl::string_view name, PullPolicy& policy);

// RFC 1123 names, as the API server checks them; each adds a problem to the field when it is bad.
bool CheckDnsLabel(Fields& fields, absl::string_view name, const std::string& value);
bool CheckDnsSubdomain(Fields& fields, absl::string_view name, const std::string& value);
// A path below a volume: relative and without "..".
bool CheckRelativePath(Fields& fields, absl::string_view name, const std::string& value);
// That of a file in a volume of files.
bool CheckFilePath(Fields& fields, absl::string_view name, const std::string& value);

}  // namespace crisp::cli
