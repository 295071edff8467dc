// The paths that crisp keeps state under; other code asks this class instead of joining them
// itself. Both directories are locked (flock(2)) by the crispd that uses them. Immutable, so
// thread-safe.
//
//   <root>  (/var/lib/crisp, survives reboot; written by crispd, and by crisp-unpack in staging/)
//     sandboxes/<id>/record.json      what was asked, cleanup pending, addresses
//     containers/<id>/record.json     what was asked
//     images/<image id>.json          one record per image: references, manifest, config, layers
//     profiles/<id>/record.json       a pulled security profile: references, document
//     snapshots/layers/<n>/fs         unpacked layer; numbered, as overlay's options are limited
//     snapshots/staging/<n>/fs        a layer that is being unpacked
//     snapshots/containers/<id>/{fs,work}   upper and work directory of a container
//     snapshots/containers/<id>/volumes/<n> a volume that its image declares
//     snapshots/trash/                what is being removed, in the background
//     snapshots/quarantine/           damaged layers, moved here at start
//     pods/<id>/{resolv.conf,hostname,hosts}   of pods that an older crispd made
//     pause/                          root file system of every pause
//     quarantine/                     damaged records, moved here at start
//   <state> (/run/crisp, gone after reboot)
//     crisp.sock                      CRI (unless `address` says otherwise)
//     containers/<id>/config.json     OCI runtime spec                 (crispd writes)
//     containers/<id>/exec.json       the part of it that execs need   (crispd writes)
//     containers/<id>/seccomp.bpf     flags and compiled filter, if any (crispd writes)
//     containers/<id>/shim.sock       SEQPACKET socket of the shim     (crispd binds, shim serves)
//     containers/<id>/init.json       pid, start time, phases          (shim writes once, at start)
//     containers/<id>/exit.json       exit record                      (shim writes once, at end)
//   The pause of a sandbox has containers/<sandbox id>/, like a container.
#pragma once

#include <string>

#include "base/id.h"

namespace crisp::base {

class Paths {
 public:
  Paths(std::string root, std::string state) : root_(std::move(root)), state_(std::move(state)) {}

  const std::string& root() const { return root_; }
  const std::string& state() const { return state_; }

  std::string SandboxRecords() const;
  std::string ContainerRecords() const;
  std::string ProfileRecords() const;
  std::string Images() const;
  std::string Snapshots() const;
  std::string Quarantine() const;
  std::string PauseRoot() const;

  std::string SandboxDirs() const;
  std::string SandboxDir(const SandboxId& id) const;
  std::string Bundles() const;
  std::string Bundle(const ContainerId& id) const;
  std::string Bundle(const SandboxId& id) const;  // of the sandbox's pause

 private:
  std::string root_;
  std::string state_;
};

inline constexpr char kRecordFile[] = "record.json";
// Files in a bundle (containers/<id>).
inline constexpr char kSpecFile[] = "config.json";
inline constexpr char kExecSpecFile[] = "exec.json";
inline constexpr char kSeccompFile[] = "seccomp.bpf";
inline constexpr char kShimSocket[] = "shim.sock";
inline constexpr char kInitFile[] = "init.json";
inline constexpr char kExitFile[] = "exit.json";

}  // namespace crisp::base
