// The program of the nonewprivs image: set-user-ID root, tells which user it became.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  printf("Effective uid: %d\n", (int)geteuid());
  return 0;
}
