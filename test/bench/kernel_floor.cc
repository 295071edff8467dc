#include "bench/kernel_floor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "linux/syscalls.h"

namespace crisp::bench {
namespace {

struct Request {
  char merged[256];
  char overlay_options[1024];
};

struct Answer {
  int64_t ns = 0;
  int error = 0;  // errno of `step`, 0 when the program was executed
  char step[16] = {};
};

// Runs in the clone. A failing step writes its name to `report`, which exec closes.
[[noreturn]] void BecomeContainer(const Request& request, int report) {
  Answer answer;
  const auto check = [&](const char* step, bool failed) {
    if (!failed) return;
    answer.error = errno;
    strncpy(answer.step, step, sizeof(answer.step) - 1);
    (void)!write(report, &answer, sizeof(answer));
    _exit(1);
  };
  check("private", mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0);
  check("overlay", mount("overlay", request.merged, "overlay", 0, request.overlay_options) != 0);
  check("chdir", chdir(request.merged) != 0);
  check("pivot_root", linux::PivotRoot(".", ".") != 0);
  check("detach", umount2(".", MNT_DETACH) != 0);
  char name[] = "/static_true";
  char* const argv[] = {name, nullptr};
  char* const envp[] = {nullptr};
  execve(name, argv, envp);
  check("execve", true);
  _exit(1);
}

Answer MeasureOnce(const Request& request) {
  Answer answer;
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return {.error = errno, .step = "pipe2"};
  clone_args args = {};
  args.flags =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  args.exit_signal = SIGCHLD;
  const int64_t begin = base::MonotonicNanos();
  const pid_t child = linux::Clone3(args);
  if (child == 0) BecomeContainer(request, report[1]);
  if (child < 0) answer = {.error = errno, .step = "clone3"};
  close(report[1]);
  Answer failure;
  const bool executed = read(report[0], &failure, sizeof(failure)) == 0;
  const int64_t end = base::MonotonicNanos();
  close(report[0]);
  if (child < 0) return answer;
  int status = 0;
  waitpid(child, &status, 0);
  if (!executed) return failure;
  if (status != 0) return {.error = ECHILD, .step = "exit status"};
  answer.ns = end - begin;
  return answer;
}

// The helper exits when the benchmark closes its end of the socket or dies.
[[noreturn]] void Serve(int socket) {
  Request request;
  while (read(socket, &request, sizeof(request)) == sizeof(request)) {
    const Answer answer = MeasureOnce(request);
    if (write(socket, &answer, sizeof(answer)) != sizeof(answer)) break;
  }
  _exit(0);
}

void Must(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(absl::StrCat("kernel floor: ", status.message()));
}

void Fill(char* to, size_t size, const std::string& text) {
  if (text.size() >= size) throw std::runtime_error("kernel floor: path too long: " + text);
  memcpy(to, text.c_str(), text.size() + 1);
}

}  // namespace

KernelFloor::KernelFloor() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    Must(base::Errno("socketpair", ""));
  }
  socket_.reset(sockets[0]);
  pid_ = fork();
  if (pid_ == 0) {
    socket_.reset();
    signal(SIGINT,
           SIG_IGN);  // ^C goes to the whole process group; the benchmark ends the helper itself
    Serve(sockets[1]);
  }
  const absl::Status forked = pid_ < 0 ? base::Errno("fork", "") : absl::OkStatus();
  close(sockets[1]);
  Must(forked);
}

KernelFloor::~KernelFloor() {
  socket_.reset();
  waitpid(pid_, nullptr, 0);
}

int64_t KernelFloor::Measure(const std::string& rootfs, const std::string& dir) {
  const std::string layer = absl::StrCat(dir, "/", ++calls_);
  for (const char* name : {"/upper", "/work", "/merged"}) Must(base::MakeDirs(layer + name, 0755));
  Request request = {};
  Fill(request.merged, sizeof(request.merged), layer + "/merged");
  Fill(request.overlay_options, sizeof(request.overlay_options),
       absl::StrCat("lowerdir=", rootfs, ",upperdir=", layer, "/upper,workdir=", layer, "/work"));
  Answer answer;
  if (write(socket_.get(), &request, sizeof(request)) != sizeof(request) ||
      read(socket_.get(), &answer, sizeof(answer)) != sizeof(answer)) {
    Must(base::Errno("helper process", ""));
  }
  if (answer.error != 0) {
    throw std::runtime_error(
        absl::StrCat("kernel floor: ", answer.step, ": ", strerrorname_np(answer.error)));
  }
  Must(base::RemoveTree(layer));
  return answer.ns;
}

}  // namespace crisp::bench
