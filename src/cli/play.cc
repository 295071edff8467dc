#include "cli/play.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/cri_runtime.h"
#include "cli/manifest/yaml_document.h"
#include "cli/play_session.h"
#include "cli/pull_credentials.h"
#include "cli/supervise.h"
#include "client/answers.h"

namespace crisp::cli {
namespace {

int Fail(absl::string_view message, int code = kExitFailed) {
  const std::string line = absl::StrCat("crisp: ", message, "\n");
  (void)base::WriteAll(STDERR_FILENO, line);
  return code;
}

int Fail(const absl::Status& status) { return Fail(status.message()); }

absl::StatusOr<std::string> ReadInput(const std::string& file) {
  if (file == "-") return base::ReadAll(STDIN_FILENO);
  return base::ReadFile(file);
}

struct Input {
  Manifest manifest;
  std::string documents;  // of all files
};

enum class References { kChecked, kIgnored };

// kInvalidArgument with one line per problem.
absl::StatusOr<Input> ReadInputs(const std::vector<std::string>& files, References references) {
  Input input;
  Problems problems;
  for (const std::string& file : files) {
    CRISP_ASSIGN_OR_RETURN(const std::string text, ReadInput(file));
    DecodeManifest(file == "-" ? "stdin" : file, text, input.manifest, problems);
    AppendDocuments(text, input.documents);
  }
  constexpr char kTogether[] = "the files together";
  CRISP_RETURN_IF_ERROR(base::Prefix(base::CheckFileSize(input.documents), kTogether));
  if (references == References::kChecked) {
    CheckReferences(input.manifest, problems);
    // As the supervisor will: a pod whose files it cannot read could not be taken down either.
    Manifest together;
    if (problems.empty()) DecodeManifest(kTogether, input.documents, together, problems);
  }
  if (problems.empty()) return input;
  std::string lines;
  for (const std::string& line : problems.Lines())
    absl::StrAppend(&lines, lines.empty() ? "" : "\ncrisp: ", line);
  return absl::InvalidArgumentError(lines);
}

PodDirectory DirectoryOf(const PlayOptions& options, const Pod& pod) {
  return PodDirectory(options.paths, pod.metadata.namespace_, pod.metadata.name);
}

// "name" is of the namespace default.
PodDirectory DirectoryOf(const PlayOptions& options, const std::string& pod) {
  const size_t slash = pod.find('/');
  if (slash == pod.npos) return PodDirectory(options.paths, "default", pod);
  return PodDirectory(options.paths, pod.substr(0, slash), pod.substr(slash + 1));
}

// Calls about pods wait minutes for a crispd that is started again; where none is at all, that is
// better said at once.
absl::Status FindRuntime(const std::string& socket_path) {
  client::CriClient client(socket_path);
  if (client::Answers(client, base::Deadline::In(absl::Seconds(5))).ok()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("nobody answers on ", socket_path, ": does crispd run?"));
}

// Ends the supervisor, which tears the pod down; does it itself where there is none or it failed.
absl::Status TearDown(const PodDirectory& directory, const std::string& socket_path) {
  if (!directory.Exists()) {
    CriRuntime runtime(socket_path);
    return directory.RemoveRemains(runtime);
  }
  CRISP_RETURN_IF_ERROR(directory.EndSupervisor());
  if (!directory.Exists()) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(const auto lock, directory.TryLock(Holder::kCommand));
  if (!lock.has_value()) return absl::AbortedError("another command works on it: try again");
  const auto pod = SupervisedPod::Open(directory, socket_path, [] {});
  if (pod.ok()) return (*pod)->supervisor().TearDown();
  if (!absl::IsInvalidArgument(pod.status())) return pod.status();
  // Another version of crisp has written what this one does not take: the pod goes without hooks.
  CriRuntime runtime(socket_path);
  CRISP_RETURN_IF_ERROR(directory.Disown());
  return directory.RemoveRemains(runtime);
}

// Whether the pod is to be started; an error says why it cannot be.
absl::Status Prepare(const PlayOptions& options, const std::string& socket_path, const Pod& pod,
                     const std::string& documents) {
  const PodDirectory directory = DirectoryOf(options, pod);
  if (options.replace || !directory.Exists()) {
    const absl::Status removed = TearDown(directory, socket_path);
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
    return directory.Make(pod, documents);
  }
  CRISP_ASSIGN_OR_RETURN(const bool is_locked, directory.IsLocked());
  if (is_locked) return absl::AlreadyExistsError("runs already: use --replace, or crisp play down");
  const std::optional<PodReport> report = directory.ReadReport();
  if (report.has_value() && report->is_over)
    return absl::AlreadyExistsError("has ended: use --replace, or crisp play down");
  // Its supervisor was killed: another one goes on, if it is the same pod.
  CRISP_ASSIGN_OR_RETURN(const std::string old, directory.ReadDocuments());
  if (old != documents)
    return absl::AlreadyExistsError("runs from other files: use --replace, or crisp play down");
  return absl::OkStatus();
}

// Otherwise it names a pod, perhaps in the directory of its sources, which has the same name.
bool IsFile(const std::string& argument) {
  struct stat found;
  return argument == "-" || (stat(argument.c_str(), &found) == 0 && !S_ISDIR(found.st_mode));
}

std::string NameOf(const Pod& pod) {
  return absl::StrCat(pod.metadata.namespace_, "/", pod.metadata.name);
}

}  // namespace

absl::StatusOr<std::string> SocketPath(const PlayOptions& options) {
  const PlayPaths& paths = options.paths;
  const std::pair<const char*, const std::string&> directories[] = {
      {"--state", paths.state}, {"--data", paths.data}, {"--logs", paths.logs}};
  for (const auto& [flag, directory] : directories) {
    if (!absl::StartsWith(directory, "/")) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " \"", directory, "\" must be an absolute path"));
    }
  }
  absl::string_view path = options.endpoint;
  absl::ConsumePrefix(&path, "unix://");
  if (absl::StartsWith(path, "/")) return std::string(path);
  return absl::InvalidArgumentError(
      absl::StrCat("endpoint \"", options.endpoint, "\" must be unix:// and an absolute path"));
}

int Play(const PlayOptions& options) {
  const absl::StatusOr<std::string> socket_path = SocketPath(options);
  if (!socket_path.ok()) return Fail(socket_path.status().message(), kExitUsage);
  const absl::StatusOr<Input> input = ReadInputs(options.files, References::kChecked);
  if (!input.ok()) return Fail(input.status().message(), kExitUsage);
  if (input->manifest.pods.empty()) return Fail("the files have no pod", kExitUsage);
  // Said before a pod is made: what its supervisor cannot read could not be taken down either.
  for (const Pod& pod : input->manifest.pods) {
    const absl::Status read = PullCredentialsOf(pod, input->manifest).status();
    if (!read.ok()) return Fail(read.message(), kExitUsage);
  }
  const absl::Status found = FindRuntime(*socket_path);
  if (!found.ok()) return Fail(found);
  PlaySessions sessions(options);
  int code = kExitOk;
  for (const Pod& pod : input->manifest.pods) {
    absl::Status started = Prepare(options, *socket_path, pod, input->documents);
    if (started.ok()) started = sessions.Start(pod, DirectoryOf(options, pod));
    // The others run all the same.
    if (!started.ok()) code = Fail(base::Prefix(started, absl::StrCat("pod ", NameOf(pod))));
  }
  const absl::StatusOr<bool> is_good = sessions.Run();
  if (!is_good.ok()) return Fail(is_good.status());
  return *is_good ? code : kExitFailed;
}

int PlayDown(const PlayOptions& options) {
  const absl::StatusOr<std::string> socket_path = SocketPath(options);
  if (!socket_path.ok()) return Fail(socket_path.status().message(), kExitUsage);
  const absl::Status found = FindRuntime(*socket_path);
  if (!found.ok()) return Fail(found);
  int code = kExitOk;
  for (const std::string& argument : options.files) {
    std::vector<std::string> pods = {argument};
    if (IsFile(argument)) {
      // What the pods refer to may be in other files.
      const absl::StatusOr<Input> input = ReadInputs({argument}, References::kIgnored);
      if (!input.ok()) return Fail(input.status().message(), kExitUsage);
      pods.clear();
      for (const Pod& pod : input->manifest.pods) pods.push_back(NameOf(pod));
    }
    for (const std::string& pod : pods) {
      const absl::Status down = TearDown(DirectoryOf(options, pod), *socket_path);
      if (!down.ok()) code = Fail(base::Prefix(down, absl::StrCat("pod ", pod)));
    }
  }
  return code;
}

int PlaySupervise(const PlayOptions& options, const std::string& pod, int listener) {
  const absl::StatusOr<std::string> socket_path = SocketPath(options);
  if (!socket_path.ok()) return Fail(socket_path.status().message(), kExitUsage);
  const absl::Status supervised = Supervise(DirectoryOf(options, pod), *socket_path, listener);
  return supervised.ok() ? kExitOk : Fail(supervised);
}

}  // namespace crisp::cli
