/* pause: holds a pod's namespaces open. See README.md; syscall(2) has the calling convention.
   Linux x86-64: number in rax, arguments in rdi rsi rdx r10; the result in rax, rcx r11 lost. */

SYS_rt_sigprocmask = 14
SYS_wait4 = 61
SYS_rt_sigtimedwait = 128
SYS_exit_group = 231
SIG_BLOCK = 0
SIGINT = 2
SIGTERM = 15
SIGCHLD = 17
WNOHANG = 1
EINTR = 4

        .text
        .globl  _start
_start:
        /* The kernel drops signals with the default action that are sent to PID 1, but queues them
           while they are blocked. */
        mov     $SIG_BLOCK, %edi
        lea     signals(%rip), %rsi
        xor     %edx, %edx
        mov     $8, %r10d
        mov     $SYS_rt_sigprocmask, %eax
        syscall

        /* One SIGCHLD may stand for many dead children, and some may have died before the mask
           was set: reap until none is left (0: all are alive, -ECHILD: there are none). */
reap:
        mov     $-1, %rdi
        xor     %esi, %esi
        mov     $WNOHANG, %edx
        xor     %r10d, %r10d
        mov     $SYS_wait4, %eax
        syscall
        test    %eax, %eax
        jg      reap

wait:
        lea     signals(%rip), %rdi
        xor     %esi, %esi
        xor     %edx, %edx                      /* no timeout */
        mov     $8, %r10d
        mov     $SYS_rt_sigtimedwait, %eax
        syscall
        cmp     $SIGCHLD, %eax
        je      reap
        cmp     $-EINTR, %eax                   /* after a stop and continue */
        je      wait

        /* SIGINT and SIGTERM: exit with status 0. If a seccomp profile denies the wait, exit with
           the errno, so that the pod fails visibly instead of spinning. */
        xor     %edi, %edi
        neg     %eax
        cmovns  %eax, %edi
        mov     $SYS_exit_group, %eax
        syscall

        .balign 8
signals:
        .quad   1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1)

        .section .note.GNU-stack, "", %progbits
