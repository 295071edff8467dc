// What several programs use to attack with.
#pragma once

#include <string>
#include <vector>

#include "integration/daemon.h"

namespace crisp::test {

// The command of a container that makes directories of 100 files each, logs "ready", and then moves
// the directories to and fro.
std::vector<std::string> Mover(int directories);

// The command of a container that stops every process that joins it.
std::vector<std::string> StopsOthers();

// The CNI plugin "hold". Its ADD hangs while the file hang-add exists, its DEL while hang-<pod>
// does; DEL fails while fail-<pod> exists, and makes released-<pod> when it has succeeded.
class HoldPlugin {
 public:
  HoldPlugin();
  ~HoldPlugin();
  HoldPlugin(const HoldPlugin&) = delete;

  const std::string& dir() const { return dir_; }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }
  void Make(const std::string& name) const;
  void Remove(const std::string& name) const;
  // Appends the plugin to the daemon's network; the daemon must have dir() as a --cni-bin-dir.
  void Join(const Daemon& daemon) const;

 private:
  std::string dir_;
};

}  // namespace crisp::test
