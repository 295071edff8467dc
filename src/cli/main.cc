// crisp: the command line. It only reads arguments; play.h says what they do.
#include <CLI/CLI.hpp>

#include "cli/play.h"

namespace crisp::cli {
namespace {

// One line, as all other errors are.
std::string ErrorLine(const CLI::App*, const CLI::Error& error) {
  return std::string("crisp: ") + error.what() + " (crisp --help lists what there is)\n";
}

int Main(int argc, char** argv) {
  PlayOptions options;
  std::string supervised;
  int listener = -1;
  CLI::App app("crisp runs Kubernetes pods on this machine, without a cluster.", "crisp");
  app.failure_message(ErrorLine);
  app.require_subcommand(1);
  app.fallthrough();  // --endpoint may also come last
  app.set_version_flag("--version", "crisp " CRISP_VERSION);
  app.add_option("--endpoint", options.endpoint, "socket of the CRI runtime")
      ->envname("CONTAINER_RUNTIME_ENDPOINT")
      ->capture_default_str();

  CLI::App* play = app.add_subcommand(
      "play",
      "run the pods of manifests: v1 Pod, one pod of a Deployment, DaemonSet or Job, with the "
      "ConfigMaps and Secrets that they name");
  play->add_option("FILE", options.files, "YAML with any number of documents; - is standard input");
  play->add_flag("--wait", options.wait, "until each pod is ready or has ended");
  play->add_flag("--follow,-f", options.follow,
                 "print the logs of all containers until the end; Ctrl-C leaves the pods running");
  play->add_flag("--replace", options.replace, "tear down running pods of the same names first");
  play->add_option("--state", options.paths.state, "what is kept of running pods")
      ->capture_default_str();
  play->add_option("--data", options.paths.data, "their volumes on disk")->capture_default_str();
  play->add_option("--logs", options.paths.logs, "their logs")->capture_default_str();
  // What the command starts for each pod; an empty group is not shown.
  play->add_option("--supervise", supervised, "")->group("");
  play->add_option("--listener", listener, "")->group("");
  CLI::App* down = play->add_subcommand("down", "stop and remove pods, with everything of theirs");
  down->add_option("FILE|NAME", options.files, "a manifest, or a pod: name or namespace/name")
      ->required();

  try {
    app.parse(argc, argv);
    if (!down->parsed() && supervised.empty() && options.files.empty())
      throw CLI::RequiredError("FILE");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (down->parsed()) return PlayDown(options);
  if (!supervised.empty()) return PlaySupervise(options, supervised, listener);
  return Play(options);
}

}  // namespace
}  // namespace crisp::cli

int main(int argc, char** argv) { return crisp::cli::Main(argc, argv); }
