#include "base/failpoint.h"

namespace crisp::base {

void Failpoint(const char* /*name*/, const char* /*rest*/) {}

std::vector<std::string> FailpointEnvironment() { return {}; }

}  // namespace crisp::base
