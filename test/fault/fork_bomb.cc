// Forks until the pids limit of its pod is reached, and goes on trying in each of its processes.
// Static, and only libc.
#include <unistd.h>

int main() {
  if (write(1, "ready\n", 6) != 6) return 1;
  for (;;) (void)fork();
}
