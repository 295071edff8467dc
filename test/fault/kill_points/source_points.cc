#include "fault/kill_points/source_points.h"

#include <filesystem>
#include <map>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::test {
namespace {

std::string Source(const std::string& path) {
  return base::ReadFile(absl::StrCat(CRISP_SOURCE_DIR, "/", path)).value();
}

std::vector<std::smatch> Matches(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

// The names of the steps in the tables of one file.
std::vector<std::string> Steps(const std::string& path) {
  const std::string named = Source("src/ipc/step.cc"), tables = Source(path);
  std::map<std::string, std::string> names;
  for (const std::smatch& match : Matches(named, std::regex(R"re(\{Step::(k\w+), "([^"]*)")re")))
    names[match[1]] = match[2];
  std::vector<std::string> steps;
  for (const std::smatch& match : Matches(tables, std::regex(R"(\{Step::(k\w+), +[A-Z]\w+\})")))
    steps.push_back(names.at(match[1]));
  return steps;
}

void AddPoints(const std::string& text, std::vector<SourcePoint>& points) {
  const std::regex pattern(R"re(base::Failpoint\(\s*"([^"]*)"(,)?)re");
  for (const std::smatch& match : Matches(text, pattern)) {
    const std::string name = match[1];
    if (name != "builder: " && name != "child: ") {
      points.push_back({.name = name, .is_prefix = match[2].matched});
      continue;
    }
    for (const std::string& step :
         Steps(name == "child: " ? "shim/child/steps.cc" : "shim/builder.cc"))
      points.push_back({.name = name + step});
  }
}

}  // namespace

std::vector<SourcePoint> SourcePoints() {
  std::vector<SourcePoint> points;
  for (const char* directory : {"src", "shim"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             absl::StrCat(CRISP_SOURCE_DIR, "/", directory))) {
      if (entry.path().extension() == ".cc")
        AddPoints(base::ReadFile(entry.path().string()).value(), points);
    }
  }
  return points;
}

}  // namespace crisp::test
