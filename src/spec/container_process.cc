#include "spec/container_process.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "linux/default_path.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

// "NAME=value" entries where a later setting takes the place of an earlier one.
class Environment {
 public:
  bool Has(absl::string_view name) { return Find(name) != entries_.end(); }

  void Set(absl::string_view name, absl::string_view value) {
    std::string entry = absl::StrCat(name, "=", value);
    const auto found = Find(name);
    if (found == entries_.end()) {
      entries_.push_back(std::move(entry));
    } else {
      *found = std::move(entry);
    }
  }

  std::vector<std::string> Take() { return std::move(entries_); }

 private:
  std::vector<std::string>::iterator Find(absl::string_view name) {
    return std::find_if(entries_.begin(), entries_.end(), [&](absl::string_view entry) {
      return entry.size() > name.size() && entry[name.size()] == '=' &&
             absl::StartsWith(entry, name);
    });
  }

  std::vector<std::string> entries_;
};

absl::StatusOr<std::vector<std::string>> MakeEnvironment(const ContainerInput& input) {
  Environment environment;
  environment.Set("PATH", linux::kDefaultPath);
  // Before the image's, as with containerd: images have `ENV HOSTNAME=0.0.0.0` for servers that
  // listen on it.
  environment.Set("HOSTNAME", input.hostname);
  for (const std::string& entry : input.image.env) {
    const size_t equals = entry.find('=');
    // Not a variable: no "=", or no name before it.
    if (equals == std::string::npos || equals == 0) continue;
    environment.Set(entry.substr(0, equals), entry.substr(equals + 1));
  }
  if (input.config.tty() && !environment.Has("TERM")) environment.Set("TERM", "xterm");
  for (int i = 0; i < input.config.envs_size(); ++i) {
    const v1::KeyValue& variable = input.config.envs(i);
    const std::string field = absl::StrCat("env[", i, "]");
    const std::string& name = variable.key();
    if (name.empty()) return Invalid(absl::StrCat(field, ".name"), name, "must not be empty");
    if (name.find('=') != std::string::npos || name.find('\0') != std::string::npos) {
      return Invalid(absl::StrCat(field, ".name"), name, "must not contain \"=\" or NUL");
    }
    if (variable.value().find('\0') != std::string::npos) {
      return Invalid(absl::StrCat(field, ".value of"), name, "must not contain NUL");
    }
    environment.Set(name, variable.value());
  }
  if (!environment.Has("HOME")) {
    environment.Set("HOME", input.user.home.empty() ? "/" : input.user.home);
  }
  return environment.Take();
}

absl::StatusOr<std::string> WorkingDirectory(const ContainerInput& input) {
  const bool configured = !input.config.working_dir().empty();
  const absl::string_view field = configured ? "workingDir" : "working directory of the image";
  const std::string& directory = configured ? input.config.working_dir() : input.image.working_dir;
  if (directory.empty()) return std::string("/");
  // ".." is allowed: the shim resolves it inside the container's root file system.
  if (directory[0] != '/') return Invalid(field, directory, "must be an absolute path");
  CRISP_RETURN_IF_ERROR(CheckText(field, directory, 4095));
  return directory;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ContainerArguments(const v1::ContainerConfig& config,
                                                            const oci::ImageConfig& image) {
  std::vector<std::string> result(config.command().begin(), config.command().end());
  std::vector<std::string> rest(config.args().begin(), config.args().end());
  if (result.empty()) {
    // One empty word is how a Dockerfile resets an inherited entrypoint.
    const bool reset = image.entrypoint.size() == 1 && image.entrypoint[0].empty();
    if (!reset) result = image.entrypoint;
    if (rest.empty()) rest = image.cmd;
  }
  result.insert(result.end(), rest.begin(), rest.end());
  if (result.empty()) {
    return Invalid("command", "", "must be given, the image has no entrypoint or cmd");
  }
  if (result[0].empty()) return Invalid("command[0]", "", "must not be empty");
  for (const std::string& word : result) {
    if (word.find('\0') != std::string::npos)
      return Invalid("command", word, "must not contain NUL");
  }
  return result;
}

absl::StatusOr<oci::Process> MakeContainerProcess(const ContainerInput& input) {
  const v1::LinuxContainerSecurityContext& context = input.config.linux().security_context();
  oci::Process process;
  process.terminal = input.config.tty();
  process.user.uid = input.user.uid;
  process.user.gid = input.user.gid;
  process.user.additional_gids = input.user.additional_gids;
  CRISP_ASSIGN_OR_RETURN(process.args, ContainerArguments(input.config, input.image));
  CRISP_ASSIGN_OR_RETURN(process.env, MakeEnvironment(input));
  CRISP_ASSIGN_OR_RETURN(process.cwd, WorkingDirectory(input));
  process.no_new_privileges = context.no_new_privs();
  // Also 0: otherwise the container would inherit the value of crispd.
  process.oom_score_adj = static_cast<int>(input.config.linux().resources().oom_score_adj());
  return process;
}

}  // namespace crisp::spec
