// Names of block devices (sysfs, /sys/dev/block). Thread-safe: no shared state.
#pragma once

#include <cstdint>
#include <string>

namespace crisp::linux {

// "/dev/sda1" for 8:1, whether or not that node exists; empty for a number without a device (what
// tmpfs and overlay use).
std::string BlockDeviceName(uint32_t major, uint32_t minor);

}  // namespace crisp::linux
