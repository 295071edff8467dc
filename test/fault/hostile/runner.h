// Runs cases one after the other and prints a line for each.
#pragma once

#include <string>
#include <vector>

#include "test/fault/hostile/case.h"
#include "test/fault/hostile/watch.h"

namespace crisp::hostile {

struct Selection {
  std::vector<std::string> globs;  // of names, fnmatch(3); none: all
  bool quick = false;              // without slow ones
  size_t every = 1;                // of these, every Nth
};

struct Result {
  enum Verdict { kOk, kFailed, kSkipped };
  std::string name;
  Verdict verdict = kOk;
  std::string what;    // "refused", "harmless" or ""
  std::string detail;  // why
  double seconds = 0;
};

// All cases, in the order of the files; aborts when two have the same name.
std::vector<Case> AllCases();
std::vector<Case> Selected(const std::vector<Case>& cases, const Selection& selection);

struct RunOptions {
  // A case is refused or harmless as crisp has it, not only in one of the safe ways.
  bool exact = false;
  // Called before each case: starts the runtime again if the last one has ended it.
  std::function<void()> revive;
};
std::vector<Result> RunAll(Target& target, Watch& watch, const std::vector<Case>& cases,
                           const RunOptions& options);
void WriteJson(const std::vector<Result>& results, const std::string& runtime,
               const std::string& path);

}  // namespace crisp::hostile
