// One attack on a CRI runtime, and what the runtime owes in answer.
//
// A case throws Broken when the runtime did not keep its promise, and Skipped when the attack
// cannot be tried on this host. Otherwise it returns what the runtime did. The runner checks beside
// that the canary, the host, the runtime's memory and a neighbour's exec (host_state.h, watch.h).
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace crisp::hostile {

class Target;

struct Outcome {
  enum Verdict { kRefused, kHarmless };
  Verdict verdict = kHarmless;
  std::string detail;  // for the reader: the error, or what was seen
};

enum class Allowed { kRefused, kHarmless, kEither };

struct Case {
  std::string name;  // "layer: ..." in plain words, the public CVE id last; unique
  Allowed allowed = Allowed::kEither;
  std::function<Outcome(Target&)> run;
  // Where crisp has what this case proves: file and function, for MUTANTS.md.
  std::string check;
  bool slow = false;  // takes more than some seconds: not in --quick
  // What crisp does where both verdicts are safe; only demanded of crisp (--exact).
  Allowed of_crisp = Allowed::kEither;
  // Why crisp does not withstand it ("What remains" in SECURITY.md); not tried with --exact.
  std::string remains = "";
};

class Broken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Skipped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One function for each file of cases.
std::vector<Case> LayerCases();
std::vector<Case> ManifestCases();
std::vector<Case> RegistryCases();
std::vector<Case> ConfigCases();
std::vector<Case> RootfsCases();
std::vector<Case> PodCases();
std::vector<Case> StreamingCases();
std::vector<Case> GrpcCases();
std::vector<Case> RaceCases();

}  // namespace crisp::hostile
