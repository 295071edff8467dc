// crispd's configuration: the defaults here, overridden by the TOML file, overridden by the flags.
// Immutable, so thread-safe: a reload (SIGHUP) reads another one. deploy/config.toml and
// crisp-config(5) document the keys for operators.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::config {

inline constexpr char kCgroupfsDriver[] = "cgroupfs";
inline constexpr char kSystemdDriver[] = "systemd";

struct Config {
  std::vector<std::string> address = {"/run/crisp/crisp.sock"};  // CRI sockets, at least one
  std::string root = "/var/lib/crisp";                           // survives reboot
  std::string state = "/run/crisp";                              // gone after reboot
  std::string log_level = "info";

  struct Cgroup {
    std::string driver = kCgroupfsDriver;
  } cgroup;

  struct Cni {
    std::string conf_dir = "/etc/cni/net.d";
    std::vector<std::string> bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
    bool native = false;  // plugins that crispd can do itself are not executed
  } cni;

  struct Cdi {
    std::vector<std::string> spec_dirs = {"/etc/cdi",
                                          "/var/run/cdi"};  // a later one overrides an earlier one
  } cdi;

  struct Registry {
    std::string config_path = "/etc/crisp/certs.d";  // containerd's certs.d layout
  } registry;

  struct Streaming {
    std::string address = "127.0.0.1:0";
  } streaming;
};

inline constexpr char kDefaultFile[] = "/etc/crisp/config.toml";

// Applies a TOML document. Unknown keys and wrong types are kInvalidArgument naming key and line.
absl::Status ApplyToml(absl::string_view text, Config& config);
// Checks the values: absolute paths, no socket twice, a known driver, a known log level.
// kInvalidArgument naming key and value.
absl::Status Validate(const Config& config);

// The configuration and what else the command line asked for.
struct CommandLine {
  Config config;
  bool print_config = false;
  bool print_version = false;
  bool print_help = false;
  std::string help;
};
// Reads the file of --config, applies the flags and validates. The default file may be missing, a
// file named by --config may not. kInvalidArgument names the unknown flag or key.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

// The keys whose values differ and that crispd reads only when it starts ("cni.native"). The others
// are log_level and cdi.spec_dirs, which a reload changes.
std::vector<std::string> KeysForNextStart(const Config& running, const Config& read);

// The effective configuration as a TOML document that ApplyToml reads back.
std::string ToToml(const Config& config);

}  // namespace crisp::config
