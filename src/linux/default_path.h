// Where programs are looked for when neither an image nor a configuration sets PATH: the same
// directories as with containerd and runc.
#pragma once

namespace crisp::linux {

inline constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace crisp::linux
