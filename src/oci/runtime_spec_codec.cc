#include "oci/runtime_spec_codec.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"

namespace crisp::oci {
namespace {

using base::Json;

// JSON has only UTF-8, but an environment may have any bytes (a Secret's, the home in an old passwd
// file): entries of env with others are here once more, by their place, in base64. Only crisp knows
// this member; to others such an entry has U+FFFD in it.
constexpr char kBinaryEnv[] = "binaryEnv";

// Thrown as the parser's own exception type: DecodeJson turns both into kInvalidArgument.
[[noreturn]] void Refuse(const std::string& what) {
  throw Json::other_error::create(500, what, nullptr);
}

template <typename T>
void Get(const Json& value, const char* name, T& out) {
  try {
    value.get_to(out);
  } catch (const Json::exception& error) {
    Refuse(absl::StrCat(name, ": ", base::JsonErrorWords(error)));
  }
}

// A member of `object` into `out`; absent or null leaves `out` as it is.
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {
    if (!object.is_object()) Refuse("must be an object");
  }

  template <typename T>
  void operator()(const char* name, T& out) const {
    if (const Json* value = Find(name); value != nullptr) Get(*value, name, out);
  }
  template <typename T>
  void operator()(const char* name, std::optional<T>& out) const {
    const Json* value = Find(name);
    if (value == nullptr) return;
    T inner{};
    (*this)(name, inner);
    out = std::move(inner);
  }
  void operator()(const char* name, char& out) const {
    const Json* value = Find(name);
    if (value == nullptr) return;
    const std::string text = value->get<std::string>();
    if (text.size() != 1) Refuse(absl::StrCat(name, " \"", text, "\": must be one letter"));
    out = text[0];
  }
  // `read(const Reader&, Item&)` fills one element of an array of objects.
  template <typename T, typename Read>
  void List(const char* name, std::vector<T>& out, Read read) const {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_array()) Refuse(absl::StrCat(name, ": must be an array"));
    for (const Json& entry : *value) read(Reader(entry), out.emplace_back());
  }
  template <typename Read>
  void Object(const char* name, Read read) const {
    if (const Json* value = Find(name); value != nullptr) read(Reader(*value));
  }
  bool Has(const char* name) const {
    const Json* value = Find(name);
    return value != nullptr && !value->empty();
  }

 private:
  const Json* Find(const char* name) const {
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  const Json& object_;
};

void ReadIdMapping(const Reader& read, IdMapping& map) {
  read("containerID", map.container_id);
  read("hostID", map.host_id);
  read("size", map.size);
}

void ReadCapabilities(const Reader& read, Capabilities& caps) {
  read("bounding", caps.bounding);
  read("effective", caps.effective);
  read("inheritable", caps.inheritable);
  read("permitted", caps.permitted);
  read("ambient", caps.ambient);
}

void ReadProcess(const Reader& read, Process& process) {
  read("terminal", process.terminal);
  read.Object("user", [&](const Reader& user) {
    user("uid", process.user.uid);
    user("gid", process.user.gid);
    user("umask", process.user.umask);
    user("additionalGids", process.user.additional_gids);
  });
  read("args", process.args);
  read("env", process.env);
  std::map<std::string, std::string> binary;
  read(kBinaryEnv, binary);
  for (const auto& [place, base64] : binary) {
    size_t i = 0;
    if (!absl::SimpleAtoi(place, &i) || i >= process.env.size() ||
        !absl::Base64Unescape(base64, &process.env[i])) {
      Refuse(absl::StrCat(kBinaryEnv, " \"", place, "\": must be the base64 of an entry of env"));
    }
  }
  read("cwd", process.cwd);
  read.Object("capabilities",
              [&](const Reader& caps) { ReadCapabilities(caps, process.capabilities.emplace()); });
  read.List("rlimits", process.rlimits, [](const Reader& limit, Rlimit& out) {
    limit("type", out.type);
    limit("soft", out.soft);
    limit("hard", out.hard);
  });
  read("noNewPrivileges", process.no_new_privileges);
  read("apparmorProfile", process.apparmor_profile);
  read("selinuxLabel", process.selinux_label);
  read("oomScoreAdj", process.oom_score_adj);
}

void ReadMount(const Reader& read, Mount& mount) {
  read("destination", mount.destination);
  read("type", mount.type);
  read("source", mount.source);
  read("options", mount.options);
  read.List("uidMappings", mount.uid_mappings, ReadIdMapping);
  read.List("gidMappings", mount.gid_mappings, ReadIdMapping);
}

void ReadDevice(const Reader& read, Device& device) {
  read("path", device.path);
  read("type", device.type);
  read("major", device.major);
  read("minor", device.minor);
  read("fileMode", device.file_mode);
  read("uid", device.uid);
  read("gid", device.gid);
}

void ReadResources(const Reader& read, Resources& resources) {
  read.List("devices", resources.devices, [](const Reader& rule, DeviceRule& out) {
    rule("allow", out.allow);
    rule("type", out.type);
    rule("major", out.major);
    rule("minor", out.minor);
    rule("access", out.access);
  });
  read.Object("memory", [&](const Reader& memory) {
    memory("limit", resources.memory_limit);
    memory("swap", resources.memory_swap);
  });
  read.Object("cpu", [&](const Reader& cpu) {
    cpu("shares", resources.cpu_shares);
    cpu("quota", resources.cpu_quota);
    cpu("period", resources.cpu_period);
    cpu("cpus", resources.cpuset_cpus);
    cpu("mems", resources.cpuset_mems);
  });
  read.Object("pids", [&](const Reader& pids) { pids("limit", resources.pids_limit); });
  read.List("hugepageLimits", resources.hugepage_limits,
            [](const Reader& limit, HugepageLimit& out) {
              limit("pageSize", out.page_size);
              limit("limit", out.limit);
            });
  read("unified", resources.unified);
}

void ReadSeccomp(const Reader& read, Seccomp& seccomp) {
  read("defaultAction", seccomp.default_action);
  read("defaultErrnoRet", seccomp.default_errno_ret);
  read("architectures", seccomp.architectures);
  read("flags", seccomp.flags);
  read.List("syscalls", seccomp.syscalls, [](const Reader& rule, SeccompSyscall& out) {
    rule("names", out.names);
    rule("action", out.action);
    rule("errnoRet", out.errno_ret);
    rule.List("args", out.args, [](const Reader& arg, SeccompArg& value) {
      arg("index", value.index);
      arg("value", value.value);
      arg("valueTwo", value.value_two);
      arg("op", value.op);
    });
  });
}

void ReadLinux(const Reader& read, Linux& linux_spec) {
  read.List("uidMappings", linux_spec.uid_mappings, ReadIdMapping);
  read.List("gidMappings", linux_spec.gid_mappings, ReadIdMapping);
  read("sysctl", linux_spec.sysctl);
  read.Object("resources",
              [&](const Reader& value) { ReadResources(value, linux_spec.resources.emplace()); });
  read("cgroupsPath", linux_spec.cgroups_path);
  read.List("namespaces", linux_spec.namespaces, [](const Reader& entry, Namespace& out) {
    entry("type", out.type);
    entry("path", out.path);
  });
  read.List("devices", linux_spec.devices, ReadDevice);
  read.Object("seccomp",
              [&](const Reader& value) { ReadSeccomp(value, linux_spec.seccomp.emplace()); });
  read("rootfsPropagation", linux_spec.rootfs_propagation);
  read("maskedPaths", linux_spec.masked_paths);
  read("readonlyPaths", linux_spec.readonly_paths);
  read("mountLabel", linux_spec.mount_label);
}

Spec ReadSpec(const Json& json) {
  const Reader read(json);
  Spec spec;
  if (read.Has("hooks")) Refuse("hooks are not supported");
  read("ociVersion", spec.version);
  read.Object("process", [&](const Reader& process) { ReadProcess(process, spec.process); });
  read.Object("root", [&](const Reader& root) {
    root("path", spec.root.path);
    root("readonly", spec.root.readonly);
  });
  read("hostname", spec.hostname);
  read.List("mounts", spec.mounts, ReadMount);
  read("annotations", spec.annotations);
  read.Object("linux", [&](const Reader& value) { ReadLinux(value, spec.linux_); });
  return spec;
}

// The end of the string that begins at text[begin], a quote.
size_t StringEnd(absl::string_view text, size_t begin) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i;
    }
  }
  return text.size();
}

// The position after the object or array that begins at or after text[begin]. npos for any other
// value and for text that ends inside it.
size_t BracketEnd(absl::string_view text, size_t begin) {
  int depth = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      i = StringEnd(text, i);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth <= 0) return depth == 0 ? i + 1 : absl::string_view::npos;
    } else if (depth == 0 && c != ' ' && c != '\n' && c != '\t' && c != '\r') {
      return absl::string_view::npos;
    }
  }
  return absl::string_view::npos;
}

// The text with null as the value of "linux.seccomp"; unchanged without such a member.
std::string CutSeccomp(absl::string_view text) {
  constexpr absl::string_view kName = "\"seccomp\"";
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    const size_t end = StringEnd(text, i);
    const size_t after = text.find_first_not_of(" \n\t\r", end + 1);
    const bool is_name = depth == 2 && text.substr(i, end - i + 1) == kName &&
                         after < text.size() && text[after] == ':';
    const size_t value_end = is_name ? BracketEnd(text, after + 1) : absl::string_view::npos;
    if (value_end != absl::string_view::npos) {
      return absl::StrCat(text.substr(0, after + 1), "null", text.substr(value_end));
    }
    i = end;
  }
  return std::string(text);
}

// --- encoding: absent members are not written.

void Put(Json& out, const char* name, const std::string& value) {
  if (!value.empty()) out[name] = value;
}
template <typename T>
void Put(Json& out, const char* name, const std::optional<T>& value) {
  if (value.has_value()) out[name] = *value;
}
template <typename T>
void Put(Json& out, const char* name, const std::vector<T>& value) {
  if (!value.empty()) out[name] = value;
}
void Put(Json& out, const char* name, const std::map<std::string, std::string>& value) {
  if (!value.empty()) out[name] = value;
}

// kBinaryEnv.
std::map<std::string, std::string> BinaryEntries(const std::vector<std::string>& entries) {
  std::map<std::string, std::string> binary;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Json read_back = Json::parse(base::DumpJson(Json(entries[i])));
    if (read_back.get<std::string>() != entries[i])
      binary[absl::StrCat(i)] = absl::Base64Escape(entries[i]);
  }
  return binary;
}
template <typename T, typename Write>
void PutList(Json& out, const char* name, const std::vector<T>& values, Write write) {
  if (values.empty()) return;
  Json& list = out[name] = Json::array();
  for (const T& value : values) list.push_back(write(value));
}

Json WriteIdMapping(const IdMapping& map) {
  return {{"containerID", map.container_id}, {"hostID", map.host_id}, {"size", map.size}};
}

Json WriteProcess(const Process& process) {
  Json out = {{"terminal", process.terminal},
              {"cwd", process.cwd},
              {"noNewPrivileges", process.no_new_privileges}};
  Json& user = out["user"] = {{"uid", process.user.uid}, {"gid", process.user.gid}};
  Put(user, "umask", process.user.umask);
  Put(user, "additionalGids", process.user.additional_gids);
  Put(out, "args", process.args);
  Put(out, "env", process.env);
  Put(out, kBinaryEnv, BinaryEntries(process.env));
  if (process.capabilities.has_value()) {
    Json& caps = out["capabilities"] = Json::object();
    Put(caps, "bounding", process.capabilities->bounding);
    Put(caps, "effective", process.capabilities->effective);
    Put(caps, "inheritable", process.capabilities->inheritable);
    Put(caps, "permitted", process.capabilities->permitted);
    Put(caps, "ambient", process.capabilities->ambient);
  }
  PutList(out, "rlimits", process.rlimits, [](const Rlimit& limit) {
    return Json{{"type", limit.type}, {"soft", limit.soft}, {"hard", limit.hard}};
  });
  Put(out, "apparmorProfile", process.apparmor_profile);
  Put(out, "selinuxLabel", process.selinux_label);
  Put(out, "oomScoreAdj", process.oom_score_adj);
  return out;
}

Json WriteMount(const Mount& mount) {
  Json out = {{"destination", mount.destination}};
  Put(out, "type", mount.type);
  Put(out, "source", mount.source);
  Put(out, "options", mount.options);
  PutList(out, "uidMappings", mount.uid_mappings, WriteIdMapping);
  PutList(out, "gidMappings", mount.gid_mappings, WriteIdMapping);
  return out;
}

Json WriteDevice(const Device& device) {
  Json out = {{"path", device.path}, {"type", std::string(1, device.type)}};
  if (device.type != 'p') {
    out["major"] = device.major;
    out["minor"] = device.minor;
  }
  Put(out, "fileMode", device.file_mode);
  Put(out, "uid", device.uid);
  Put(out, "gid", device.gid);
  return out;
}

Json WriteResources(const Resources& resources) {
  Json out = Json::object();
  PutList(out, "devices", resources.devices, [](const DeviceRule& rule) {
    Json entry = {{"allow", rule.allow}, {"type", std::string(1, rule.type)}};
    Put(entry, "major", rule.major);
    Put(entry, "minor", rule.minor);
    Put(entry, "access", rule.access);
    return entry;
  });
  Json memory = Json::object();
  Put(memory, "limit", resources.memory_limit);
  Put(memory, "swap", resources.memory_swap);
  if (!memory.empty()) out["memory"] = std::move(memory);
  Json cpu = Json::object();
  Put(cpu, "shares", resources.cpu_shares);
  Put(cpu, "quota", resources.cpu_quota);
  Put(cpu, "period", resources.cpu_period);
  Put(cpu, "cpus", resources.cpuset_cpus);
  Put(cpu, "mems", resources.cpuset_mems);
  if (!cpu.empty()) out["cpu"] = std::move(cpu);
  if (resources.pids_limit.has_value()) out["pids"] = {{"limit", *resources.pids_limit}};
  PutList(out, "hugepageLimits", resources.hugepage_limits, [](const HugepageLimit& limit) {
    return Json{{"pageSize", limit.page_size}, {"limit", limit.limit}};
  });
  Put(out, "unified", resources.unified);
  return out;
}

Json WriteSeccomp(const Seccomp& seccomp) {
  Json out = {{"defaultAction", seccomp.default_action}};
  Put(out, "defaultErrnoRet", seccomp.default_errno_ret);
  Put(out, "architectures", seccomp.architectures);
  Put(out, "flags", seccomp.flags);
  PutList(out, "syscalls", seccomp.syscalls, [](const SeccompSyscall& rule) {
    Json entry = {{"names", rule.names}, {"action", rule.action}};
    Put(entry, "errnoRet", rule.errno_ret);
    PutList(entry, "args", rule.args, [](const SeccompArg& arg) {
      return Json{
          {"index", arg.index}, {"value", arg.value}, {"valueTwo", arg.value_two}, {"op", arg.op}};
    });
    return entry;
  });
  return out;
}

Json WriteLinux(const Linux& linux_spec) {
  Json out = Json::object();
  PutList(out, "uidMappings", linux_spec.uid_mappings, WriteIdMapping);
  PutList(out, "gidMappings", linux_spec.gid_mappings, WriteIdMapping);
  Put(out, "sysctl", linux_spec.sysctl);
  if (linux_spec.resources.has_value()) out["resources"] = WriteResources(*linux_spec.resources);
  Put(out, "cgroupsPath", linux_spec.cgroups_path);
  PutList(out, "namespaces", linux_spec.namespaces, [](const Namespace& entry) {
    Json item = {{"type", entry.type}};
    Put(item, "path", entry.path);
    return item;
  });
  PutList(out, "devices", linux_spec.devices, WriteDevice);
  if (linux_spec.seccomp.has_value()) out["seccomp"] = WriteSeccomp(*linux_spec.seccomp);
  Put(out, "rootfsPropagation", linux_spec.rootfs_propagation);
  Put(out, "maskedPaths", linux_spec.masked_paths);
  Put(out, "readonlyPaths", linux_spec.readonly_paths);
  Put(out, "mountLabel", linux_spec.mount_label);
  return out;
}

}  // namespace

absl::StatusOr<Spec> DecodeRuntimeSpec(absl::string_view text) {
  return base::DecodeJson("config.json", text, ReadSpec);
}

absl::StatusOr<Spec> DecodeRuntimeSpecWithoutSeccomp(absl::string_view text) {
  return DecodeRuntimeSpec(CutSeccomp(text));
}

absl::StatusOr<Spec> DecodeExecSpec(absl::string_view text) {
  return base::DecodeJson("exec.json", text, ReadSpec);
}

std::string EncodeRuntimeSpec(const Spec& spec) {
  Json out = {{"ociVersion", spec.version},
              {"process", WriteProcess(spec.process)},
              {"root", {{"path", spec.root.path}, {"readonly", spec.root.readonly}}},
              {"linux", WriteLinux(spec.linux_)}};
  Put(out, "hostname", spec.hostname);
  Put(out, "annotations", spec.annotations);
  PutList(out, "mounts", spec.mounts, WriteMount);
  return base::DumpJson(out, 1);
}

std::string EncodeExecSpec(const Spec& spec) {
  Spec part;
  part.version = spec.version;
  part.process = spec.process;
  part.process.args.clear();
  part.linux_.namespaces = spec.linux_.namespaces;
  part.linux_.uid_mappings = spec.linux_.uid_mappings;
  part.linux_.gid_mappings = spec.linux_.gid_mappings;
  return EncodeRuntimeSpec(part);
}

}  // namespace crisp::oci
