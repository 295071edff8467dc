// A LaunchPlan as text, one fact per line, in the order things are done: shows what a config.json
// means. Pure; the same plan gives the same text, which golden tests compare.
#pragma once

#include <string>

#include "shim/launch_plan.h"

namespace crisp::shim {

std::string PrintPlan(const LaunchPlan& plan);

}  // namespace crisp::shim
