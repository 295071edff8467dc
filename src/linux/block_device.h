// Names of block devices (sysfs, /sys/dev/block). Thread-safe: no shared state.
#pragma once

#include <cstdint>
#include <string>

namespace crisp::linux {

// "/dev/sda1" for 8:1, whether or not that node exists; empty for a number that no device has, such
// as those of tmpfs and overlay.
std::string BlockDeviceName(uint32_t major, uint32_t minor);

}  // namespace crisp::linux
