// The program of the suite's images: looks at a container from inside and says what it sees, one
// fact per line. Static, and only libc and std::string.
//
//   facts FACT...     "wrong: FACT: what is there" for each fact that does not hold (tree_fact.h)
//   ids               uids, gids, groups, capabilities and no_new_privs of /proc/self/status
//   env               the environment
//   fds               descriptors and where they lead
//   cat PATH...       contents; "cannot read PATH: why" (also after a link)
//   list PATH...      names in a directory
//   write PATH TEXT   "wrote PATH" or "cannot write PATH: why"
//   open PATH...      "opened PATH" or "cannot open PATH: why", for reading, without waiting
//   openw PATH...     the same for writing; nothing is written
//   args WORD...      the words
//   cwd, exe, signals the working directory; the program; SigBlk, SigIgn and SigCgt
//   fill MIB          that many MiB on standard output
//   sleep             until SIGTERM; is at rest when it has printed "ready"
//   exit NUMBER       ends with that status
//
// Several commands are separated by "--". Ends with 1 when a fact was wrong.
#include <csignal>
#include <cstdlib>

#include "test/fakes/tree_fact.h"

namespace {

using Words = std::vector<std::string>;

void Say(const std::string& text) { dprintf(1, "%s\n", text.c_str()); }

std::string ReadPath(const std::string& path, bool& ok) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  char buffer[65536];
  ssize_t n = fd < 0 ? -1 : 0;
  while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0 && text.size() < (1 << 20)) {
    text.append(buffer, static_cast<size_t>(n));
  }
  ok = n >= 0;
  if (!ok) text = "cannot read " + path + ": " + strerror(errno);
  if (fd >= 0) close(fd);
  return text;
}

// Those lines of /proc/self/status that begin with one of the names.
void SayStatus(const Words& names) {
  bool ok = false;
  const std::string status = ReadPath("/proc/self/status", ok);
  for (size_t at = 0; ok && at < status.size();) {
    const size_t end = status.find('\n', at);
    const std::string line = status.substr(at, end - at);
    for (const std::string& name : names) {
      if (line.compare(0, name.size() + 1, name + ":") == 0) Say(line);
    }
    at = end == std::string::npos ? status.size() : end + 1;
  }
}

int Facts(const Words& facts) {
  int wrong = 0;
  for (const std::string& fact : facts) {
    const std::string found =
        crisp::test::FactCheck(fact, "", crisp::test::TreeKind::kMerged).Run();
    if (found.empty()) continue;
    Say("wrong: " + fact + ": " + found);
    ++wrong;
  }
  Say(std::to_string(facts.size()) + " facts, " + std::to_string(wrong) + " wrong");
  return wrong == 0 ? 0 : 1;
}

void List(const std::string& path, bool links) {
  DIR* list = opendir(path.c_str());
  if (list == nullptr) return Say("cannot list " + path + ": " + strerror(errno));
  const std::string own = std::to_string(dirfd(list));
  while (const dirent* entry = readdir(list)) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || (links && name == own)) continue;
    char target[PATH_MAX] = {};
    if (links && readlink((path + "/" + name).c_str(), target, sizeof(target) - 1) < 0) continue;
    Say(links ? name + " " + target : name);
  }
  closedir(list);
}

void Open(const std::string& path, int how) {
  const int fd = open(path.c_str(), how | O_NONBLOCK | O_CLOEXEC);
  Say(fd < 0 ? "cannot open " + path + ": " + strerror(errno) : "opened " + path);
  if (fd >= 0) close(fd);
}

void Write(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const bool ok = fd >= 0 && write(fd, text.data(), text.size()) >= 0;
  Say(ok ? "wrote " + path : "cannot write " + path + ": " + strerror(errno));
  if (fd >= 0) close(fd);
}

void Fill(long mebibytes) {
  const std::string line = std::string(1023, 'x') + "\n";
  for (long i = 0; i < mebibytes << 10; ++i) {
    if (write(1, line.data(), line.size()) < 0) return;
  }
}

void Sleep() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  Say("ready");
  int signal = 0;
  sigwait(&set, &signal);
}

void SayLink(const char* path) {
  char target[PATH_MAX] = {};
  Say(readlink(path, target, sizeof(target) - 1) < 0 ? strerror(errno) : target);
}

int Run(const std::string& command, const Words& words) {
  const std::string first = words.empty() ? "" : words[0];
  if (command == "facts") return Facts(words);
  if (command == "ids")
    SayStatus({"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
               "NoNewPrivs", "Seccomp"});
  if (command == "signals") SayStatus({"SigBlk", "SigIgn", "SigCgt"});
  if (command == "env") {
    for (char** variable = environ; *variable != nullptr; ++variable) Say(*variable);
  }
  if (command == "fds") List("/proc/self/fd", true);
  if (command == "cwd") SayLink("/proc/self/cwd");
  if (command == "exe") SayLink("/proc/self/exe");
  if (command == "write") Write(first, words.size() > 1 ? words[1] : "");
  if (command == "fill") Fill(atol(first.c_str()));
  if (command == "sleep") Sleep();
  if (command == "exit") exit(atoi(first.c_str()));
  for (const std::string& word : words) {
    bool ok = false;
    if (command == "cat") Say(ReadPath(word, ok));
    if (command == "list") List(word, false);
    if (command == "open") Open(word, O_RDONLY);
    if (command == "openw") Open(word, O_WRONLY);
    if (command == "args") Say(word);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int result = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string command = argv[i];
    Words words;
    while (++i < argc && strcmp(argv[i], "--") != 0) words.emplace_back(argv[i]);
    result |= Run(command, words);
  }
  return result;
}
