// hostile: attacks a CRI runtime with hostile images, registries, pods and streams. README.md.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "absl/strings/strip.h"
#include "base/file.h"
#include "integration/daemon.h"
#include "test/fault/hostile/runner.h"

namespace crisp::hostile {
namespace {

struct Options {
  std::string endpoint;
  std::string image_endpoint;
  std::string listen = "127.0.0.1:0";
  Selection selection;
  bool list = false;
  bool checks = false;
  bool any_code = false;
  bool exact = false;
  std::string json;
  pid_t pid = 0;
  double patience = 2;
  int64_t memory_mib = 128;
};

std::string SocketPath(const std::string& endpoint) {
  return std::string(absl::StripPrefix(absl::StripPrefix(endpoint, "unix:"), "//"));
}

// For a run by hand: the programs of the same build.
void DefaultEnvironment() {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  setenv("CRISP_TEST_BIN_DIR", (self.parent_path().parent_path() / "bin").c_str(), 0);
  setenv("CRISP_TEST_CERTS_DIR", "/nonexistent", 0);
}

// The suite's own directory; its end takes everything below away.
class Directory {
 public:
  Directory() {
    char name[] = "/var/lib/hostile-XXXXXX";
    if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp of /var/lib/hostile-XXXXXX");
    path_ = name;
  }
  ~Directory() { (void)base::RemoveTree(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int Attack(Options& options, const std::vector<Case>& cases) {
  const bool own = options.endpoint.empty();
  const Directory directory;
  std::unique_ptr<test::Daemon> daemon;
  std::unique_ptr<test::Endpoint> other;
  if (own) {
    DefaultEnvironment();
    daemon = std::make_unique<test::Daemon>();
  } else {
    other = std::make_unique<test::Endpoint>(SocketPath(options.endpoint), directory.path(),
                                             SocketPath(options.image_endpoint));
  }
  test::Endpoint& endpoint = own ? *daemon : *other;
  const v1::VersionResponse version =
      endpoint.Call(endpoint.runtime(), &v1::RuntimeService::Stub::Version, {});
  const std::string runtime = version.runtime_name() + " " + version.runtime_version();
  printf("%s: %zu cases\n", runtime.c_str(), cases.size());

  // A sanitized crispd is slower and larger.
  if (own && getenv("CRISP_TEST_SANITIZED") != nullptr) {
    options.patience *= 5;
    options.memory_mib = 0;
  }
  const int port = atoi(options.listen.substr(options.listen.rfind(':') + 1).c_str());
  Target target(endpoint, {.directory = directory.path(),
                           .registry_port = port,
                           .any_code = options.any_code,
                           .own_cgroup_parent = own});
  Watch watch(target, {.pid = options.pid,
                       .patience = absl::Seconds(options.patience),
                       .memory_kib = options.memory_mib << 10});
  const auto revive = [&] {
    if (!own || ListenerOf(endpoint.socket()) != 0) return;
    daemon->Kill9();
    daemon->Start();
  };
  const std::vector<Result> results =
      RunAll(target, watch, cases, {.exact = own || options.exact, .revive = revive});
  if (!options.json.empty()) WriteJson(results, runtime, options.json);
  const auto count = [&](Result::Verdict verdict) {
    return std::count_if(results.begin(), results.end(),
                         [&](const Result& result) { return result.verdict == verdict; });
  };
  const auto failed = count(Result::kFailed);
  printf("%td passed, %td failed, %td skipped\n", count(Result::kOk), failed,
         count(Result::kSkipped));
  return failed == 0 && !results.empty() ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Attacks a CRI runtime with hostile images, registries, pods and streams");
  app.add_option("--endpoint", options.endpoint,
                 "The runtime's socket, such as unix:///run/containerd/containerd.sock; without "
                 "it, crispd is started for the run");
  app.add_option("--image-endpoint", options.image_endpoint,
                 "The socket of the image service, if it is another one");
  app.add_option("--registry-listen", options.listen,
                 "127.0.0.1:PORT of the evil registry; the runtime must take it as plain HTTP");
  app.add_flag("--list", options.list, "Print the cases that would run");
  app.add_flag("--checks", options.checks, "With --list: where crisp has what a case proves");
  app.add_option("--filter", options.selection.globs,
                 "Only cases whose name matches this glob; may be repeated");
  app.add_flag("--quick", options.selection.quick,
               "Leave out cases that take more than some seconds");
  app.add_option("--every", options.selection.every, "Of the cases only every Nth")
      ->check(CLI::PositiveNumber);
  app.add_flag("--any-code", options.any_code,
               "Every error is a refusal, whatever its code; only a missing answer is not");
  app.add_flag("--exact", options.exact,
               "Demand the verdict that crisp promises where two would be safe");
  app.add_option("--json", options.json, "Write the results to this file");
  app.add_option("--pid", options.pid, "The runtime's process, if it is not the socket's listener");
  app.add_option("--patience", options.patience, "Seconds an exec in another pod may take");
  app.add_option("--memory-limit", options.memory_mib,
                 "MiB the runtime may grow by in one case; 0: any");
  CLI11_PARSE(app, argc, argv);
  const std::vector<Case> cases = Selected(AllCases(), options.selection);
  if (options.list) {
    for (const Case& attack : cases) {
      printf("%s%s\n", attack.name.c_str(), attack.slow ? " (slow)" : "");
      if (options.checks) printf("        %s\n", attack.check.c_str());
    }
    return 0;
  }
  try {
    return Attack(options, cases);
  } catch (const std::exception& error) {
    fprintf(stderr, "hostile: %s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace crisp::hostile

int main(int argc, char** argv) { return crisp::hostile::Main(argc, argv); }
