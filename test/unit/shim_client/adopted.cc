// In place of crisp-shim: takes its sockets, and ends with 1 when the tether, the second, ends.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

int main() {
  char data[4096];
  int sockets[3];
  iovec io = {data, sizeof(data)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(sockets))];
  msghdr header = {};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  if (recvmsg(3, &header, 0) <= 0 || CMSG_FIRSTHDR(&header) == nullptr) return 2;
  memcpy(sockets, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(sockets));
  while (read(sockets[1], data, sizeof(data)) > 0) {
  }
  return 1;
}
