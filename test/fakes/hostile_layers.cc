#include "fakes/hostile_layers.h"

#include "absl/strings/str_replace.h"
#include "fakes/tree_fact.h"

namespace crisp::snapshot {

std::string FactOf(const std::string& fact, const std::string& canary) {
  return absl::StrReplaceAll(fact, {{"@", test::EscapeWord(canary.substr(1))}});
}

}  // namespace crisp::snapshot
