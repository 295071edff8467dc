// crispd's configuration: defaults here, then the TOML file, then the flags. Read once at start,
// immutable afterwards. The same keys are documented for operators in deploy/config.toml.
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
  std::string address = "/run/crisp/crisp.sock";  // CRI socket
  std::string root = "/var/lib/crisp";            // survives reboot
  std::string state = "/run/crisp";               // gone after reboot
  std::string log_level = "info";

  struct Cgroup {
    std::string driver = kCgroupfsDriver;
  } cgroup;

  struct Cni {
    std::string conf_dir = "/etc/cni/net.d";
    std::vector<std::string> bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
    bool native = false;  // the in-process engine for bridge, host-local, portmap, loopback
  } cni;

  struct Cdi {
    std::vector<std::string> spec_dirs = {"/etc/cdi", "/var/run/cdi"};  // later ones win
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
// What no single key can know: absolute paths, known driver, numeric address. kInvalidArgument
// naming the key.
absl::Status Validate(const Config& config);

// What the command line asked for besides the configuration.
struct CommandLine {
  Config config;
  bool print_config = false;
  bool print_version = false;
  bool print_help = false;
  std::string help;
};
// Reads --config (a missing default file means defaults, a missing named one is an error), then
// applies the flags, then validates. kInvalidArgument names the unknown flag or key.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

// The effective configuration as a TOML document that ApplyToml reads back.
std::string ToToml(const Config& config);

}  // namespace crisp::config
