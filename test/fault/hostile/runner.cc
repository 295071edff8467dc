#include "test/fault/hostile/runner.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "test/fault/hostile/host_state.h"

namespace crisp::hostile {
namespace {

constexpr size_t kDetail = 300;

const char* Name(Outcome::Verdict verdict) {
  return verdict == Outcome::kRefused ? "refused" : "harmless";
}
const char* Name(Result::Verdict verdict) {
  return verdict == Result::kOk ? "ok" : verdict == Result::kFailed ? "FAILED" : "skipped";
}

bool Permits(Allowed allowed, Outcome::Verdict verdict) {
  return allowed == Allowed::kEither ||
         (allowed == Allowed::kRefused) == (verdict == Outcome::kRefused);
}

void RunCase(Target& target, const Case& attack, bool exact, Result& result) {
  try {
    if (exact && !attack.remains.empty()) throw Skipped(attack.remains);
    const Outcome outcome = attack.run(target);
    result.what = Name(outcome.verdict);
    result.detail = outcome.detail;
    if (!Permits(attack.allowed, outcome.verdict) ||
        (exact && !Permits(attack.of_crisp, outcome.verdict))) {
      result.verdict = Result::kFailed;
      result.detail = "must not be " + result.what + ": " + outcome.detail;
    }
  } catch (const Skipped& skipped) {
    result.verdict = Result::kSkipped;
    result.detail = skipped.what();
  } catch (const std::exception& broken) {
    result.verdict = Result::kFailed;
    result.detail = broken.what();
  }
}

void Fail(Result& result, const std::string& why) {
  if (why.empty()) return;
  result.detail = result.verdict == Result::kFailed ? absl::StrCat(result.detail, "; ", why) : why;
  result.verdict = Result::kFailed;
}

Result Attack(Target& target, Watch& watch, const Case& attack, bool exact) {
  Result result;
  result.name = attack.name;
  const HostState before = HostState::Take(target.Canary(), target.Mark());
  const absl::Time begin = absl::Now();
  target.Begin();
  watch.Begin();
  RunCase(target, attack, exact, result);
  Fail(result, watch.End());
  try {
    target.CleanUp();
  } catch (const std::exception& error) {
    Fail(result, error.what());
  }
  Fail(result, HostState::Changes(before, target.Canary(), target.Mark()));
  result.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return result;
}

}  // namespace

std::vector<Case> AllCases() {
  std::vector<Case> all;
  std::set<std::string> names;
  for (auto* group : {LayerCases, ManifestCases, RegistryCases, ConfigCases, RootfsCases, PodCases,
                      StreamingCases, GrpcCases, RaceCases}) {
    for (Case& attack : group()) {
      if (!names.insert(attack.name).second) {
        fprintf(stderr, "two cases are named \"%s\"\n", attack.name.c_str());
        abort();
      }
      all.push_back(std::move(attack));
    }
  }
  return all;
}

std::vector<Case> Selected(const std::vector<Case>& cases, const Selection& selection) {
  std::vector<Case> selected;
  size_t next = 0;
  for (const Case& attack : cases) {
    const bool named =
        selection.globs.empty() ||
        std::any_of(selection.globs.begin(), selection.globs.end(), [&](const std::string& glob) {
          return fnmatch(glob.c_str(), attack.name.c_str(), 0) == 0;
        });
    if (!named || (selection.quick && attack.slow)) continue;
    if (next++ % selection.every == 0) selected.push_back(attack);
  }
  return selected;
}

std::vector<Result> RunAll(Target& target, Watch& watch, const std::vector<Case>& cases,
                           const RunOptions& options) {
  std::vector<Result> results;
  for (const Case& attack : cases) {
    options.revive();
    results.push_back(Attack(target, watch, attack, options.exact));
    const Result& result = results.back();
    printf("%-7s  %s  %s  %s\n", Name(result.verdict), result.name.c_str(), result.what.c_str(),
           absl::CHexEscape(result.detail.substr(0, kDetail)).c_str());
    fflush(stdout);
  }
  options.revive();  // what the cases made is removed after this
  return results;
}

void WriteJson(const std::vector<Result>& results, const std::string& runtime,
               const std::string& path) {
  nlohmann::json cases = nlohmann::json::array();
  for (const Result& result : results) {
    cases.push_back({{"name", result.name},
                     {"result", Name(result.verdict)},
                     {"verdict", result.what},
                     {"detail", absl::CHexEscape(result.detail)},
                     {"seconds", result.seconds}});
  }
  const nlohmann::json document = {{"runtime", runtime}, {"cases", cases}};
  const absl::Status status = base::WriteFileAtomic(path, document.dump(2) + "\n", 0644);
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

}  // namespace crisp::hostile
