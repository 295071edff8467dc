#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "config/config.h"

namespace crisp::config {
namespace {

// CLI11 writes only the members whose flag is on the command line, so the file's other values stay.
void AddConfigFlags(CLI::App& app, Config& config) {
  app.add_option("--address", config.address, "Unix socket to serve CRI on; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--root", config.root,
                 "Directory of images, layers and records; survives a reboot");
  app.add_option("--state", config.state, "Directory of sockets and exit records; may be on tmpfs");
  app.add_option("--log-level", config.log_level, "debug, info, warn or error");
  app.add_option("--cgroup-driver", config.cgroup.driver, "cgroupfs or systemd");
  app.add_option("--cni-conf-dir", config.cni.conf_dir, "Directory of CNI configurations");
  app.add_option("--cni-bin-dir", config.cni.bin_dirs, "Directory of CNI plugins; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--cni-native", config.cni.native,
                 "Do bridge, loopback and portmap inside crispd");
  app.add_option("--cdi-spec-dir", config.cdi.spec_dirs,
                 "Directory of CDI specifications; may be repeated, later ones override")
      ->allow_extra_args(false);
  app.add_option("--registry-config-path", config.registry.config_path,
                 "Directory of <host>/hosts.toml");
  app.add_option("--streaming-address", config.streaming.address,
                 "Address of the exec/attach/port-forward server");
}

absl::Status ReadConfigFile(const std::string& file, bool named, Config& config) {
  absl::StatusOr<std::string> text = base::ReadFile(file, 1 << 20);
  if (absl::IsNotFound(text.status()) && !named) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(text.status());
  absl::Status status = ApplyToml(*text, config);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(file, ": ", status.message()));
  return status;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  std::string file = kDefaultFile;
  CLI::App app("crispd: the crisp container runtime, serves CRI v1 to kubelet", "crispd");
  app.set_help_flag("");
  CLI::Option* config_flag =
      app.add_option("--config", file, "TOML file (default /etc/crisp/config.toml)");
  app.add_flag("--print-config", line.print_config, "Print the effective configuration and exit");
  app.add_flag("--version", line.print_version, "Print the version and exit");
  app.add_flag("-h,--help", line.print_help, "Print this help and exit");
  AddConfigFlags(app, line.config);
  try {
    // The first pass finds --config, the second applies the flags over the file.
    app.parse(argc, argv);
    line.help = app.help();
    if (line.print_help || line.print_version) return line;
    line.config = Config();
    CRISP_RETURN_IF_ERROR(ReadConfigFile(file, config_flag->count() > 0, line.config));
    app.clear();
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  CRISP_RETURN_IF_ERROR(Validate(line.config));
  return line;
}

}  // namespace crisp::config
