// Every path under which crisp keeps state. No other code puts these together.
//
//   <root>  (/var/lib/crisp, survives reboot; written by the daemon only)
//     sandboxes/<id>/record.json      what was asked, pending cleanup, addresses
//     containers/<id>/record.json     what was asked
//     images/<image id>.json          one record per image: references, manifest, config, layers
//     snapshots/layers/<n>/fs         unpacked layer; a short number keeps overlay's options short
//     snapshots/containers/<id>/{fs,work}   upper and work directory of a container
//     pods/<id>/{resolv.conf,hostname,hosts}   writable by the pod, so not in /run's memory
//     snapshots/trash/                renamed here, removed in the background
//     snapshots/quarantine/           damaged layers, moved aside at start
//     quarantine/                     damaged records, moved aside at start
//   <state> (/run/crisp, gone after reboot)
//     state.lock                      held by the crispd that serves; <root>/root.lock too
//     crisp.sock                      CRI (unless `address` says otherwise)
//     containers/<id>/config.json     OCI runtime spec            (daemon writes)
//     containers/<id>/seccomp.bpf     flags, compiled filter, if any (daemon writes)
//     containers/<id>/shim.sock       SEQPACKET socket of the shim (daemon binds, shim serves)
//     containers/<id>/init.json       pid, start time, phases      (shim writes once, at start)
//     containers/<id>/exit.json       exit record     (shim writes once, before it dies)
//   The pause container of a sandbox lives in containers/<sandbox id>/ like any other.
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
  std::string Images() const;
  std::string Snapshots() const;
  std::string Quarantine() const;

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
// Names inside a bundle.
inline constexpr char kSpecFile[] = "config.json";
inline constexpr char kSeccompFile[] = "seccomp.bpf";
inline constexpr char kShimSocket[] = "shim.sock";
inline constexpr char kInitFile[] = "init.json";
inline constexpr char kExitFile[] = "exit.json";

}  // namespace crisp::base
