#include "cni/conf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"

namespace crisp::cni {
namespace {

constexpr size_t kMaxConfBytes = 1 << 20;
constexpr size_t kMaxSkippedFiles = 32;

bool HasConfSuffix(absl::string_view name) {
  return absl::EndsWith(name, ".conflist") || absl::EndsWith(name, ".conf") ||
         absl::EndsWith(name, ".json");
}

absl::StatusOr<std::string> ReadConf(const std::string& path) {
  // O_NONBLOCK: open(2) must not block on a FIFO with this name.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return base::Errno("stat", "");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("not a regular file");
  return base::ReadAll(fd.get(), kMaxConfBytes);
}

// The plugins' configurations in the directory of a network; none without such a directory, or with
// something else of this name. Subdirectories are passed over: a mounted ConfigMap has some.
absl::StatusOr<std::vector<PluginText>> ReadPlugins(const std::string& dir) {
  std::vector<PluginText> texts;
  size_t bytes = 0;  // all of it goes to the cache, with the list
  struct stat info;
  if (stat(dir.c_str(), &info) != 0) {
    if (errno != ENOENT) return base::Errno("stat", dir);
    return texts;
  }
  if (!S_ISDIR(info.st_mode)) return texts;
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::ListDir(dir));
  for (const std::string& name : names) {
    const std::string path = base::JoinPath(dir, name);
    if (!absl::EndsWith(name, ".conf")) continue;
    if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    absl::StatusOr<std::string> text = ReadConf(path);
    if (!text.ok()) return base::Prefix(text.status(), path);
    bytes += text->size();
    if (bytes > kMaxConfBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(dir, ": more than ", kMaxConfBytes, " bytes of plugins"));
    }
    texts.push_back({.source = path, .text = *std::move(text)});
  }
  return texts;
}

absl::StatusOr<NetworkConf> LoadConf(const std::string& dir, const std::string& name) {
  std::string path = base::JoinPath(dir, name);
  CRISP_ASSIGN_OR_RETURN(const std::string text, ReadConf(path));
  CRISP_ASSIGN_OR_RETURN(NetworkConf conf, ParseConf(text, [&dir](const std::string& network) {
                           return ReadPlugins(base::JoinPath(dir, network));
                         }));
  conf.path = std::move(path);
  return conf;
}

}  // namespace

int VersionRank(absl::string_view version) {
  static constexpr absl::string_view kVersions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                    "0.4.0", "1.0.0", "1.1.0"};
  const auto* found = std::find(std::begin(kVersions), std::end(kVersions), version);
  return found == std::end(kVersions) ? -1 : static_cast<int>(found - std::begin(kVersions));
}

bool IsPluginType(absl::string_view type) {
  return !type.empty() && type.size() <= 255 && type != "." && type != ".." &&
         std::all_of(type.begin(), type.end(),
                     [](char c) { return absl::ascii_isgraph(c) && c != '/'; });
}

bool IsIdentifier(absl::string_view text) {
  return !text.empty() && text.size() <= 128 && absl::ascii_isalnum(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
         });
}

ConfDirectory LoadConfDirectory(const std::string& dir) {
  ConfDirectory directory;
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(dir);
  std::string missing = absl::StrCat("no network config found in ", dir);
  if (absl::IsResourceExhausted(names.status())) {
    directory.network = names.status();
    return directory;
  }
  if (!names.ok() && !absl::IsNotFound(names.status())) {
    absl::StrAppend(&missing, ": ", names.status().message());
  }
  if (names.ok()) {
    for (const std::string& name : *names) {
      if (!HasConfSuffix(name) || directory.skipped.size() == kMaxSkippedFiles) continue;
      directory.network = LoadConf(dir, name);
      // Without a descriptor it may be the one: the next file is another network.
      if (directory.network.ok() || absl::IsResourceExhausted(directory.network.status())) {
        return directory;
      }
      // The file's bytes may be in the message, which goes into the answer to Status.
      directory.skipped.push_back(
          base::Printable(absl::StrCat(name, ": ", directory.network.status().message())));
    }
  }
  if (!directory.skipped.empty()) {
    absl::StrAppend(&missing, ": not valid: ", absl::StrJoin(directory.skipped, "; "));
  }
  directory.network = absl::UnavailableError(missing);
  return directory;
}

}  // namespace crisp::cni
