#include <iterator>

#include "test/fault/hostile/attack.h"

namespace crisp::hostile {

std::vector<Case> PodCases() {
  std::vector<Case> all;
  for (auto* group : {NameCases, MountCases, RightsCases, LimitCases, IsolationCases, LoadCases}) {
    std::vector<Case> cases = group();
    all.insert(all.end(), std::make_move_iterator(cases.begin()),
               std::make_move_iterator(cases.end()));
  }
  return all;
}

}  // namespace crisp::hostile
