#include "spec/seccomp_profile_codec.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "spec/seccomp.h"

namespace crisp::spec {
namespace {

using base::Json;

constexpr size_t kMaxNames = 16384;

constexpr absl::string_view kActions[] = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE",        "SCMP_ACT_ALLOW",       "SCMP_ACT_LOG"};
constexpr absl::string_view kOperators[] = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                            "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                            "SCMP_CMP_MASKED_EQ"};

// Thrown as the parser's own exception: DecodeJson turns both into kInvalidArgument.
[[noreturn]] void Refuse(const std::string& what) {
  throw Json::other_error::create(500, what, nullptr);
}

// nullptr when absent or null.
const Json* Find(const Json& object, const char* name) {
  if (!object.is_object()) Refuse("must be an object");
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::vector<std::string> Strings(const Json& object, const char* name) {
  const Json* value = Find(object, name);
  return value == nullptr ? std::vector<std::string>() : value->get<std::vector<std::string>>();
}

uint64_t Unsigned(const Json& value, const char* name, uint64_t max) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > max) {
    Refuse(absl::StrCat(name, " ", value.dump(), ": must be between 0 and ", max));
  }
  return value.get<uint64_t>();
}

template <size_t N>
std::string Word(const Json& object, const char* name, const absl::string_view (&known)[N]) {
  const Json* value = Find(object, name);
  if (value == nullptr) Refuse(absl::StrCat(name, " is missing"));
  std::string word = value->get<std::string>();
  if (std::find(std::begin(known), std::end(known), word) == std::end(known)) {
    Refuse(absl::StrCat(name, " \"", word, "\": is not supported"));
  }
  return word;
}

std::optional<uint32_t> ErrnoRet(const Json& object, const char* name, absl::string_view action) {
  const Json* value = Find(object, name);
  if (value == nullptr) return std::nullopt;
  // The kernel returns errno up to 4095; a tracer gets 16 bits.
  return static_cast<uint32_t>(Unsigned(*value, name, action == "SCMP_ACT_TRACE" ? 65535 : 4095));
}

bool Contains(const std::vector<std::string>& words, absl::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool KernelAtLeast(const SeccompHost& host, const std::string& version) {
  int major = 0;
  int minor = 0;
  char rest = 0;
  if (sscanf(version.c_str(), "%d.%d%c", &major, &minor, &rest) != 2) {
    Refuse(absl::StrCat("minKernel \"", version, "\": must be a version like 4.8"));
  }
  return std::pair(host.kernel_major, host.kernel_minor) >= std::pair(major, minor);
}

// A rule of Docker's form applies when everything in `includes` is the case and nothing in
// `excludes`.
bool Applies(const Json& rule, const oci::Capabilities& capabilities, const SeccompHost& host) {
  const auto held = [&](const std::string& name) { return Contains(capabilities.bounding, name); };
  if (const Json* includes = Find(rule, "includes"); includes != nullptr) {
    const std::vector<std::string> caps = Strings(*includes, "caps");
    const std::vector<std::string> arches = Strings(*includes, "arches");
    const Json* kernel = Find(*includes, "minKernel");
    if (!std::all_of(caps.begin(), caps.end(), held)) return false;
    if (!arches.empty() && !Contains(arches, host.architecture)) return false;
    if (kernel != nullptr && !KernelAtLeast(host, kernel->get<std::string>())) return false;
  }
  if (const Json* excludes = Find(rule, "excludes"); excludes != nullptr) {
    const std::vector<std::string> caps = Strings(*excludes, "caps");
    const Json* kernel = Find(*excludes, "minKernel");
    if (std::any_of(caps.begin(), caps.end(), held)) return false;
    if (Contains(Strings(*excludes, "arches"), host.architecture)) return false;
    if (kernel != nullptr && KernelAtLeast(host, kernel->get<std::string>())) return false;
  }
  return true;
}

oci::SeccompArg DecodeArg(const Json& value) {
  oci::SeccompArg arg;
  const auto number = [&](const char* name, uint64_t max) -> uint64_t {
    const Json* found = Find(value, name);
    return found == nullptr ? 0 : Unsigned(*found, name, max);
  };
  arg.index = static_cast<uint32_t>(number("index", 5));
  arg.value = number("value", UINT64_MAX);
  arg.value_two = number("valueTwo", UINT64_MAX);
  arg.op = Word(value, "op", kOperators);
  return arg;
}

oci::SeccompSyscall DecodeRule(const Json& value) {
  oci::SeccompSyscall rule;
  rule.names = Strings(value, "names");
  if (const Json* name = Find(value, "name"); name != nullptr) {
    if (!rule.names.empty()) Refuse("syscalls: name and names must not be given together");
    rule.names.push_back(name->get<std::string>());
  }
  rule.action = Word(value, "action", kActions);
  rule.errno_ret = ErrnoRet(value, "errnoRet", rule.action);
  if (const Json* args = Find(value, "args"); args != nullptr) {
    if (!args->is_array() || args->size() > 6)
      Refuse("args must be an array of at most 6 conditions");
    for (const Json& arg : *args) rule.args.push_back(DecodeArg(arg));
  }
  return rule;
}

std::vector<std::string> Architectures(const Json& value, const SeccompHost& host) {
  std::vector<std::string> result = Strings(value, "architectures");
  const Json* map = Find(value, "archMap");
  if (map == nullptr || map->empty()) return result;
  if (!result.empty()) Refuse("architectures and archMap must not be given together");
  if (!map->is_array()) Refuse("archMap must be an array");
  for (const Json& entry : *map) {
    const Json* architecture = Find(entry, "architecture");
    if (architecture == nullptr || architecture->get<std::string>() != host.native) continue;
    result = Strings(entry, "subArchitectures");
    result.insert(result.begin(), host.native);
    break;
  }
  return result;
}

oci::Seccomp DecodeProfile(const Json& value, const oci::Capabilities& capabilities,
                           const SeccompHost& host) {
  oci::Seccomp profile;
  profile.default_action = Word(value, "defaultAction", kActions);
  profile.default_errno_ret = ErrnoRet(value, "defaultErrnoRet", profile.default_action);
  profile.architectures = Architectures(value, host);
  profile.flags = Strings(value, "flags");
  const absl::Status flags = SeccompFlags(profile).status();
  if (!flags.ok()) Refuse(std::string(flags.message()));
  const Json* rules = Find(value, "syscalls");
  if (rules == nullptr) return profile;
  if (!rules->is_array()) Refuse("syscalls must be an array");
  size_t names = 0;
  for (const Json& entry : *rules) {
    oci::SeccompSyscall rule = DecodeRule(entry);
    names += rule.names.size();
    if (names > kMaxNames)
      Refuse(absl::StrCat("syscalls must name at most ", kMaxNames, " system calls"));
    if (Applies(entry, capabilities, host)) profile.syscalls.push_back(std::move(rule));
  }
  return profile;
}

}  // namespace

SeccompHost ThisSeccompHost() {
  SeccompHost host;
#if defined(__x86_64__)
  host.architecture = "amd64";
  host.native = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
  host.architecture = "arm64";
  host.native = "SCMP_ARCH_AARCH64";
#endif
  utsname name;
  if (uname(&name) == 0) sscanf(name.release, "%d.%d", &host.kernel_major, &host.kernel_minor);
  return host;
}

absl::StatusOr<oci::Seccomp> DecodeSeccompProfile(absl::string_view text,
                                                  const oci::Capabilities& capabilities,
                                                  const SeccompHost& host) {
  return base::DecodeJson("seccomp profile", text, [&](const Json& value) {
    return DecodeProfile(value, capabilities, host);
  });
}

}  // namespace crisp::spec
