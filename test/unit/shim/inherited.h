// What a process has inherited, as text with a line for each attribute: for inherited_test.cc and
// for the program that runs in its containers.
#pragma once

#include <linux/ioprio.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace crisp::test {

inline std::string Line(const char* name, long long value) {
  return std::string(name) + " " + std::to_string(value) + "\n";
}

inline std::string Affinity() {
  std::string text = "cpus";
  unsigned char cpus[1024] = {};
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(cpus), cpus);
  for (long cpu = 0; cpu < bytes * 8; ++cpu) {
    if ((cpus[cpu / 8] >> (cpu % 8) & 1) != 0) text += " " + std::to_string(cpu);
  }
  return text + "\n";
}

inline std::string Limits() {
  std::string text;
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    text += "rlimit " + std::to_string(resource) + " " + std::to_string(limit.rlim_cur) + " " +
            std::to_string(limit.rlim_max) + "\n";
  }
  return text;
}

inline long IoPriority() { return syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0); }

inline std::string Priorities(int policy, int nice, long io_priority) {
  return Line("policy", policy) + Line("nice", nice) + Line("io", io_priority);
}

inline std::string Others(int memory, int slack, int persona, mode_t mask) {
  return Line("memory", memory) + Line("slack", slack) + Line("personality", persona) +
         Line("umask", static_cast<long long>(mask));
}

// SigBlk and SigIgn of /proc/self/status.
inline std::string Signals() {
  std::string text;
  FILE* status = fopen("/proc/self/status", "re");
  char line[256];
  while (status != nullptr && fgets(line, sizeof(line), status) != nullptr) {
    const std::string name(line, 6);
    if (name == "SigBlk" || name == "SigIgn") text += line;
  }
  if (status != nullptr) fclose(status);
  return text;
}

inline std::string Inherited() {
  int memory = 0;  // stays so in a kernel without NUMA
  syscall(SYS_get_mempolicy, &memory, nullptr, 0, nullptr, 0);
  const mode_t mask = umask(0);
  umask(mask);
  return Affinity() +
         Priorities(sched_getscheduler(0), getpriority(PRIO_PROCESS, 0), IoPriority()) +
         Others(memory, prctl(PR_GET_TIMERSLACK), personality(0xffffffff), mask) + Signals() +
         Limits();
}

}  // namespace crisp::test
