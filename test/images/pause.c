// The program of the image registry.k8s.io/pause: waits for ever. Not crisp's own pause, which is
// never an image.
#include <unistd.h>

int main(void) {
  for (;;) pause();
}
