// In place of crisp-shim: takes the listening socket, and ends with 1 when the first connection on
// it ends.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

int main() {
  char data[4096];
  iovec io = {data, sizeof(data)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header = {};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  if (recvmsg(3, &header, 0) <= 0 || CMSG_FIRSTHDR(&header) == nullptr) return 2;
  int listener;
  memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(listener));
  const int tether = accept(listener, nullptr, nullptr);
  while (read(tether, data, sizeof(data)) > 0) {
  }
  return 1;
}
