// For comparison: Debian's runc running `true` with the root file system and settings of one of
// crisp's containers. Failures throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace crisp::bench {

class Runc {
 public:
  // Copies the root file system of the running process `container` below `dir` and writes two
  // bundles from `spec` (info_codec.h), whose mounts must stay valid. The caller removes `dir`.
  Runc(const std::string& dir, pid_t container, const std::string& spec);

  // Nanoseconds from the spawn of `runc run` to its exit.
  int64_t RunTrue(bool own_network);

  // Copies a program into the root file system, as /<name>.
  void AddProgram(const std::string& path, const std::string& name);
  const std::string& rootfs() const { return rootfs_; }
  static std::string Version();

 private:
  std::string Bundle(bool own_network) const;

  std::string dir_;
  std::string rootfs_;
  std::string id_;
};

}  // namespace crisp::bench
