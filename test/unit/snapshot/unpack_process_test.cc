// The processes that unpack a layer: what they have while they run, what is left when one of them
// or crispd dies.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "cgroup/layout.h"
#include "linux/reap.h"
#include "linux/spawn.h"
#include "linux/syscalls.h"
#include "test/unit/eventually.h"
#include "test/unit/snapshot/store_fixture.h"

namespace crisp::snapshot {
namespace {

using B = TarBuilder;

// So much that crispd can only have written it when both processes have taken some.
constexpr size_t kPart = 6 << 20;

// Its directory has no entry, so the untarrer waits for the lower layers at the end.
std::string Layer() { return B().File("d/big", std::string(8 << 20, 'b')).Done(); }

std::string ProcFile(pid_t pid, const std::string& name) {
  return absl::StrCat("/proc/", pid, "/", name);
}

// The value of a line of /proc/<pid>/status.
std::string StatusOf(pid_t pid, const std::string& key) {
  const std::string text = *base::ReadFile(ProcFile(pid, "status"));
  const size_t at = text.find("\n" + key + ":\t");
  REQUIRE(at != std::string::npos);
  const size_t begin = at + key.size() + 3;
  return text.substr(begin, text.find('\n', begin) - begin);
}

// The process of that role that `parent` has started; 0 if there is none.
pid_t Find(const std::string& role, pid_t parent = getpid()) {
  const std::vector<std::string> names = *base::ListDir("/proc");
  for (const std::string& name : names) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(name, &pid)) continue;
    const auto line = base::ReadFile(ProcFile(pid, "cmdline"));
    const auto status = base::ReadFile(ProcFile(pid, "status"));
    if (!line.ok() || !status.ok()) continue;
    if (!absl::StartsWith(*line, "crisp-unpack" + std::string(1, '\0') + role)) continue;
    if (absl::StrContains(*status, absl::StrCat("\nPPid:\t", parent, "\n"))) return pid;
  }
  return 0;
}

// The same, awaited: a program's arguments show some time after it has been executed.
pid_t Await(const std::string& role, pid_t parent = getpid()) {
  pid_t pid = 0;
  REQUIRE(test::Eventually([&] { return (pid = Find(role, parent)) > 0; }));
  return pid;
}

uint64_t Capabilities(pid_t pid, const std::string& set) {
  return std::stoull(StatusOf(pid, set), nullptr, 16);
}

void CheckIsolated(pid_t pid) {
  // The last thing that it does before it reads.
  CHECK(test::Eventually([&] { return StatusOf(pid, "Seccomp") == "2"; }));
  CHECK(StatusOf(pid, "NoNewPrivs") == "1");
  CHECK(StatusOf(pid, "Threads") == "1");
  CHECK(StatusOf(pid, "Groups") == " ");
  for (const char* set : {"CapInh", "CapBnd", "CapAmb"}) CHECK(Capabilities(pid, set) == 0);
  CHECK(Target(ProcFile(pid, "ns/mnt")) != Target("/proc/self/ns/mnt"));
  const std::string mounts = *base::ReadFile(ProcFile(pid, "mountinfo"));
  INFO(mounts);
  CHECK(std::count(mounts.begin(), mounts.end(), '\n') == 1);
  CHECK(absl::StrContains(mounts, " / / ro,nosuid,nodev,noexec,"));
  CHECK(absl::StrContains(mounts, " - tmpfs crisp-empty "));
  CHECK(base::ListDir(ProcFile(pid, "root/"))->empty());
}

// Sockets, shared memory, and what the layer has.
void CheckDescriptors(pid_t pid, const std::string& layer) {
  const std::vector<std::string> fds = *base::ListDir(ProcFile(pid, "fd"));
  for (const std::string& fd : fds) {
    const std::string path = ProcFile(pid, "fd/" + fd);
    const std::string target = Target(path);
    if (absl::StartsWith(target, "socket:") || absl::StartsWith(target, "/memfd:layer")) continue;
#ifdef __SANITIZE_ADDRESS__
    if (fd == "2") continue;  // for its report
#endif
    INFO(fd << " is " << target);
    struct stat info;
    if (stat(path.c_str(), &info) != 0) continue;  // closed meanwhile
    CHECK((!layer.empty() && info.st_dev == Stat(layer).st_dev));
    CHECK((target == "/" || target == "/d" || target == "/d/big"));
  }
}

TEST_CASE("what parses a layer has the rights for that and no others, while it runs") {
  StoreFixture fix;
  const std::string tar = Layer();
  auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
  REQUIRE(writer->Write(absl::string_view(tar).substr(0, kPart)).ok());

  const pid_t decoder = Await("decode");
  CheckIsolated(decoder);
  CheckDescriptors(decoder, "");
  const std::string own = "4294967280\t4294967280\t4294967280\t4294967280";
  CHECK(StatusOf(decoder, "Uid") == own);
  CHECK(StatusOf(decoder, "Gid") == own);
  for (const char* set : {"CapEff", "CapPrm"}) CHECK(Capabilities(decoder, set) == 0);

  const pid_t untarrer = Await("untar");
  CheckIsolated(untarrer);
  CheckDescriptors(untarrer, fix.root() + "/staging/1/fs");
  CHECK(StatusOf(untarrer, "Uid") == "4294967281\t0\t0\t0");
  uint64_t wanted = 0;
  for (const int cap :
       {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP})
    wanted |= uint64_t{1} << cap;
  wanted &= Capabilities(getpid(), "CapPrm");
  for (const char* set : {"CapEff", "CapPrm"}) CHECK(Capabilities(untarrer, set) == wanted);

  REQUIRE(writer->Write(absl::string_view(tar).substr(kPart)).ok());
  REQUIRE(writer->Finish().ok());
  CHECK(Find("decode") == 0);
  CHECK(Find("untar") == 0);
  CHECK(*base::ReadFile(fix.Directory(StoreFixture::Spec(tar).chain_id) + "/d/big") ==
        std::string(8 << 20, 'b'));
}

TEST_CASE("when a process that unpacks dies, its layer fails with that and leaves nothing") {
  const std::string tar = Layer();
  for (const std::string role : {"decode", "untar"}) {
    for (const size_t part : {size_t{0}, kPart, tar.size()}) {
      INFO(role << " after " << part);
      StoreFixture fix;
      auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
      REQUIRE(writer->Write(absl::string_view(tar).substr(0, part)).ok());
      REQUIRE(kill(Await(role), SIGKILL) == 0);
      absl::Status status = writer->Write(absl::string_view(tar).substr(part));
      if (status.ok()) status = writer->Finish();
      CHECK(std::string(status.message()) == absl::StrCat("unpack ",
                                                          StoreFixture::Spec(tar).diff_id, ": the ",
                                                          role, " process was killed by SIGKILL"));
      CHECK(writer->Finish() == status);
      writer.reset();
      CHECK(fix.Empty());
      CHECK(Find("decode") == 0);
      CHECK(Find("untar") == 0);
      CHECK(fix.Unpack(tar).ok());
    }
  }
}

TEST_CASE("an untarrer that dies while it waits for the lower layers fails its layer") {
  StoreFixture fix;
  const std::string tar = Layer();
  auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
  REQUIRE(writer->Write(tar).ok());
  REQUIRE(writer->Seal().ok());
  REQUIRE(kill(Await("untar"), SIGKILL) == 0);
  CHECK(absl::StrContains(std::string(writer->Finish().message()), "killed by SIGKILL"));
  writer.reset();
  CHECK(fix.Empty());
}

// A process that unpacks a layer, in place of crispd, and is in the middle of it.
class Crispd {
 public:
  explicit Crispd(const std::string& root, const std::string& group) {
    int fds[2];
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    const base::UniqueFd ready(fds[0]);
    base::UniqueFd say(fds[1]);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      Unpack(root, group, say.get());
      _exit(1);
    }
    say.reset();
    char done = 0;
    REQUIRE(read(ready.get(), &done, 1) == 1);
    for (const char* role : {"decode", "untar"}) {
      pids_.push_back(Await(role, pid_));
      pidfds_.emplace_back(linux::PidfdOpen(pids_.back()));
    }
  }
  ~Crispd() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t untarrer() const { return pids_[1]; }
  // Whether the two processes end within `time`.
  bool Ended(absl::Duration time) const {
    const base::Deadline deadline = base::Deadline::In(time);
    for (const base::UniqueFd& pidfd : pidfds_) {
      pollfd entry = {.fd = pidfd.get(), .events = POLLIN, .revents = 0};
      if (poll(&entry, 1, deadline.PollMillis()) != 1) return false;
    }
    return true;
  }

 private:
  static void Unpack(const std::string& root, const std::string& group, int say) {
    const auto processes = UnpackProcesses::Open(CRISP_UNPACK);
    if (!processes.ok()) return;
    if (!group.empty() && !(*processes)->UseGroup(group).ok()) return;
    const auto store = SnapshotStore::Open(
        {.root = root, .limits = {.min_free_bytes = 1}, .workers = processes->get()});
    const std::string tar = Layer();
    const auto writer = (*store)->BeginLayer(StoreFixture::Spec(tar));
    if (!writer.ok() || !(*writer)->Write(absl::string_view(tar).substr(0, kPart)).ok()) return;
    if (write(say, "x", 1) == 1) pause();
  }

  pid_t pid_ = -1;
  std::vector<pid_t> pids_;
  std::vector<base::UniqueFd> pidfds_;
};

TEST_CASE("the processes that unpack a layer end with crispd") {
  const std::string dir = TempDir();
  {
    Crispd crispd(dir + "/store", "");
    CHECK_FALSE(crispd.Ended(absl::ZeroDuration()));
    crispd.Kill();
    CHECK(crispd.Ended(absl::Seconds(10)));
  }
  REQUIRE(base::RemoveTree(dir).ok());
}

// A group for the processes of a test; empty, with the reason on stdout, where there is none.
std::string Group() {
  const auto layout = cgroup::Detect();
  const auto own = layout.ok() ? cgroup::OwnDirectory(**layout) : layout.status();
  if (own.ok()) return absl::StrCat(*own, "/unpack-test-", getpid());
  printf("skipped: a cgroup for unpacking: %s\n", own.status().ToString().c_str());
  return "";
}

TEST_CASE("a process that does not end with crispd is ended by the next one") {
  const std::string group = Group();
  if (group.empty()) return;
  const std::string dir = TempDir();
  {
    Crispd crispd(dir + "/store", group);
    REQUIRE(kill(crispd.untarrer(), SIGSTOP) == 0);
    crispd.Kill();
    CHECK_FALSE(crispd.Ended(absl::ZeroDuration()));
    const auto next = UnpackProcesses::Open(CRISP_UNPACK);
    CHECK((*next)->UseGroup(group).ok());
    CHECK(crispd.Ended(absl::Seconds(10)));
    CHECK_FALSE(Exists(group));
  }
  REQUIRE(base::RemoveTree(dir).ok());
}

TEST_CASE("the group goes with its last process, and stays while one does not end") {
  const std::string group = Group();
  if (group.empty()) return;
  auto processes = UnpackProcesses::Open(CRISP_UNPACK).value();
  REQUIRE(processes->UseGroup(group).ok());
  StoreFixture fix(*processes);
  REQUIRE(fix.Unpack(Layer()).ok());
  CHECK_FALSE(Exists(group));

  const std::string tar = B().File("file", "f").Done();
  auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
  (void)Await("untar");
  // In place of one that SIGKILL does not end.
  const base::UniqueFd directory(open(group.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto stays = linux::Spawn(
      {.path = "/bin/sleep", .args = {"sleep", "1000"}, .env = {}, .cgroup = directory.get()},
      {-1, -1, -1});
  REQUIRE(stays.ok());
  REQUIRE(writer->Write(tar).ok());
  REQUIRE(writer->Finish().ok());
  writer.reset();
  CHECK(Exists(group));
  CHECK(fix.Unpack(B().File("other", "o").Done()).ok());
  CHECK(Exists(group));

  fix.store.reset();
  processes.reset();
  CHECK_FALSE(Exists(group));
  const auto end =
      linux::Reap(stays->pid, stays->pidfd.get(), base::Deadline::In(absl::Seconds(9)));
  REQUIRE(end.has_value());
  CHECK(end->si_status == SIGKILL);
}

TEST_CASE("a process that cannot be started fails its layer and takes no other one's place") {
  const std::string dir = TempDir();
  const std::string program = dir + "/not-executable";
  REQUIRE(base::WriteFileAtomic(program, "", 0600).ok());
  {
    const auto processes = UnpackProcesses::Open(program, /*max_processes=*/1).value();
    StoreFixture fix(*processes);
    for (int i = 0; i < 3; ++i) {
      const absl::Status status = fix.Unpack(Layer()).status();
      INFO(status);
      CHECK(absl::StrContains(status.message(), "(EACCES)"));
    }
    CHECK(fix.Empty());
  }
  REQUIRE(base::RemoveTree(dir).ok());
}

TEST_CASE("a layer for which there are too many processes is refused, and unpacked later") {
  const auto processes = UnpackProcesses::Open(CRISP_UNPACK, /*max_processes=*/3).value();
  StoreFixture fix(*processes);
  const std::string tar = Layer();
  auto first = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
  REQUIRE(first->Write(absl::string_view(tar).substr(0, kPart)).ok());
  const std::string other = B().File("other", "o").Done();
  const absl::Status refused = fix.Unpack(other).status();
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(absl::StrContains(refused.message(), "more than 3 processes are unpacking layers"));
  REQUIRE(first->Write(absl::string_view(tar).substr(kPart)).ok());
  REQUIRE(first->Finish().ok());
  first.reset();
  CHECK(fix.Unpack(other).ok());
}

}  // namespace
}  // namespace crisp::snapshot
