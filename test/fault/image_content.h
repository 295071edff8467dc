// What is in a root file system, for comparison with what an image's layers say.
#pragma once

#include <string>

namespace crisp::test {

// A script for an image's shell. It prints every file of the root file system: name, target, mode,
// owner and, but for directories, time; of regular files the digest too. It leaves out what a
// runtime puts into a container.
extern const char kListFiles[];

// What the script prints for the image of CRISP_TEST_LAYOUT, from a root that GNU tar makes of its
// layers below `scratch`. The layers must not delete anything. Throws std::runtime_error.
std::string FilesOf(const std::string& image, const std::string& scratch);

// "" when both are the same; else the first line that differs.
std::string Difference(const std::string& expected, const std::string& found);

}  // namespace crisp::test
