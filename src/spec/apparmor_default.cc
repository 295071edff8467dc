#include "spec/apparmor_default.h"

namespace crisp::spec {

// attach_disconnected: files of the host's mount namespace (logs, volumes) have no path from the
// container's root. mediate_deleted: an open file that was removed keeps its rules. A "deny" rule
// wins over every rule that allows, so exceptions are part of the patterns.
const char kDefaultAppArmorPolicy[] = R"(
profile crisp-default flags=(attach_disconnected,mediate_deleted) {
  capability,
  file,
  network,
  umount,

  # Signals from crispd and the shim, which are unconfined, and among the containers of a pod.
  signal (receive) peer=unconfined,
  signal (send, receive) peer=crisp-default,
  ptrace (trace, read, tracedby, readby) peer=crisp-default,

  deny mount,

  # Settings of the whole host. Below /proc/sys/kernel only shm* belongs to the pod.
  deny /proc/* w,
  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi,tty}/** w,
  deny /proc/sys/{abi,crypto,debug,dev,fs,net,sunrpc,user,vm}/** w,
  deny /proc/sys/kernel/{[^s],s[^h],sh[^m]}** w,
  deny /proc/{kcore,kmem,mem,sysrq-trigger} rwklx,

  # Below /sys only the container's own cgroups may be changed.
  deny /sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/** wklx,
  deny /sys/fs/{[^c],c[^g]}** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
}
)";

}  // namespace crisp::spec
