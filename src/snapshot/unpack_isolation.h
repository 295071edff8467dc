// What a process that parses a layer may do. It takes everything else from itself before it reads
// the first byte, so that a hostile layer that takes it over gains next to nothing:
//
//                   decoder                          untarrer
//   user            of its own                       root, its real user is one of its own
//   capabilities    none                             CHOWN DAC_OVERRIDE FOWNER FSETID MKNOD SETFCAP
//   mounts          an empty read-only tmpfs as root directory; no other mount
//                   (linux/empty_namespace.h, the same for all of them)
//   descriptors     its sockets and shared memory    the same, the layer's directory, later the
//                                                    lower layers, both as mounts attached nowhere
//   network, IPC    no system call for either
//   system calls    memory, messages                 also files, relative to what it has open
//   limits          256 MiB of memory, 65,536 descriptors; no core dump
//
// Neither can start a program or a process, or make memory executable; a call that is not allowed
// ends the process. See seccomp(2), capabilities(7), pivot_root(2).
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "base/unique_fd.h"

namespace crisp::snapshot {

enum class UnpackRole { kDecode, kUntar };

// For a program with one thread, as root. With an error the process must read nothing.
absl::Status Isolate(UnpackRole role, base::UniqueFd empty_mount_namespace);

}  // namespace crisp::snapshot
