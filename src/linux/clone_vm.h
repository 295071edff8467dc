// A new process that shares this one's memory until it executes a program, as with vfork(2), but on
// a stack of its own and with the options of clone3(2): posix_spawn(3) of glibc 2.36 cannot start a
// process in a cgroup, and a plain fork copies the page tables of a large daemon.
#pragma once

#include <linux/sched.h>
#include <sys/syscall.h>

namespace crisp::linux {

// Calls `run(argument)` in the new process, on `args.stack`. `args.flags` has CLONE_VM and
// CLONE_VFORK: the caller goes on when the new process has executed a program or has ended. `run`
// must do one of both, must only make system calls, and changes what the caller sees. All signals
// must be blocked, or a handler could run in the new process. Returns the pid, or -errno.
inline long CloneVm(clone_args& args, void (*run)(void*), void* argument) {
#if defined(__x86_64__)
  long result;
  // The child finds `run` and `argument` in registers that the system call keeps.
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "movq %[argument], %%rdi\n\t"
      "movq %[run], %%rax\n\t"
      "xorl %%ebp, %%ebp\n\t"  // ends the chain of frames for debuggers; may be one of the two
      "callq *%%rax\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(&args), "S"(sizeof(args)), [run] "r"(run), [argument] "r"(argument)
      : "rcx", "r11", "memory", "cc");
  return result;
#elif defined(__aarch64__)
  register long number asm("x8") = SYS_clone3;
  register long first asm("x0") = reinterpret_cast<long>(&args);
  register long second asm("x1") = sizeof(args);
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x0, %[argument]\n\t"
      "mov x8, %[run]\n\t"
      "mov x29, #0\n\t"
      "blr x8\n\t"
      "brk #1\n"
      "1:"
      : "+r"(first)
      : "r"(number), "r"(second), [run] "r"(run), [argument] "r"(argument)
      : "memory", "cc");
  return first;
#else
#error "unknown architecture"
#endif
}

}  // namespace crisp::linux
