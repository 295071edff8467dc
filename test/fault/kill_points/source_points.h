// The points that the source of crispd and crisp-shim has.
#pragma once

#include <string>
#include <vector>

namespace crisp::test {

struct SourcePoint {
  std::string name;
  bool is_prefix = false;  // the rest is known only when it is passed
};

// Reads the files below src/ and shim/ of the tree that this program was built from. Steps of the
// builder and the child are taken from their tables.
std::vector<SourcePoint> SourcePoints();

}  // namespace crisp::test
