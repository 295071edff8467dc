/* pause: holds a pod's namespaces open. See README.md; syscall(2) has the calling convention.
   Linux arm64: number in x8, arguments in x0 to x3; x0 comes back, nothing else changes. */

SYS_exit_group = 94
SYS_rt_sigprocmask = 135
SYS_rt_sigtimedwait = 137
SYS_wait4 = 260
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
        mov     x0, #SIG_BLOCK
        adr     x1, signals
        mov     x2, #0
        mov     x3, #8
        mov     x8, #SYS_rt_sigprocmask
        svc     #0

        /* One SIGCHLD may stand for many dead children, and some may have died before the mask
           was set: reap until none is left (0: all are alive, -ECHILD: there are none). */
reap:
        mov     x0, #-1
        mov     x1, #0
        mov     x2, #WNOHANG
        mov     x3, #0
        mov     x8, #SYS_wait4
        svc     #0
        cmp     w0, #0
        b.gt    reap

wait:
        adr     x0, signals
        mov     x1, #0
        mov     x2, #0                          /* no timeout */
        mov     x3, #8
        mov     x8, #SYS_rt_sigtimedwait
        svc     #0
        cmp     w0, #SIGCHLD
        b.eq    reap
        cmn     w0, #EINTR                      /* after a stop and continue */
        b.eq    wait

        /* SIGINT and SIGTERM: exit with status 0. If a seccomp profile denies the wait, exit with
           the errno, so that the pod fails visibly instead of spinning. */
        cmp     w0, #0
        csneg   w0, wzr, w0, gt
        mov     x8, #SYS_exit_group
        svc     #0

        .balign 8
signals:
        .quad   1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1)

        .section .note.GNU-stack, "", %progbits
