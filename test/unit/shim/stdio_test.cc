// stdin, terminals and attached clients.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "bundle.h"

namespace crisp::test {
namespace {

struct Attached {
  shim_client::AttachSession session;
  base::UniqueFd out;
  base::UniqueFd err;
};

void MakePipe(base::UniqueFd& read_end, base::UniqueFd& write_end) {
  int fds[2];
  REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
}

Attached Attach(const Bundle& bundle, bool with_stdin, bool with_stderr = true) {
  shim::v1::Attach request;
  request.set_stdin(with_stdin);
  request.set_stdout(true);
  request.set_stderr(with_stderr);
  Attached attached;
  base::UniqueFd out, err;
  MakePipe(attached.out, out);
  MakePipe(attached.err, err);
  std::vector<int> fds = {out.get()};
  if (with_stderr) fds.push_back(err.get());
  auto session = AttachTo(bundle, request, fds, DeadlineIn(5000));
  INFO(session.status());
  REQUIRE(session.ok());
  attached.session = *std::move(session);
  return attached;
}

void Type(const base::UniqueFd& fd, const std::string& text) {
  REQUIRE(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

// Reads until the text has `wanted` or nothing comes for 10 s.
std::string ReadUntil(const base::UniqueFd& fd, const std::string& wanted) {
  std::string text;
  pollfd entry = {.fd = fd.get(), .events = POLLIN, .revents = 0};
  while (text.find(wanted) == std::string::npos && poll(&entry, 1, 10'000) == 1) {
    char buffer[4096];
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

}  // namespace

TEST_CASE("without stdin the container reads end of file", "[shim][stdio]") {
  Bundle bundle;
  CHECK(bundle.Run(ShellSpec(
            "cat; echo end; chmod 000 /proc/self/fd/0 2>/dev/null || echo kept")) == "end\nkept\n");
}

TEST_CASE("stdin stays open until the first attach that had it ends", "[shim][stdio]") {
  Bundle bundle;
  bundle.request().set_stdin(true);
  bundle.request().set_stdin_once(true);
  REQUIRE(bundle.Start(ShellSpec("cat; echo eof")).ok());
  { Attached reader = Attach(bundle, false); }
  CHECK(bundle.ShimIsAlive());
  Attached attached = Attach(bundle, true);
  Type(attached.session.stdin_, "hello\n");
  CHECK(ReadUntil(attached.out, "\n") == "hello\n");
  attached.session.stdin_.reset();
  attached.session.channel.Close();
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 0);
  CHECK(bundle.LogText() == "hello\neof\n");
}

TEST_CASE("without stdin_once the container's stdin stays open after an attach", "[shim][stdio]") {
  Bundle bundle;
  bundle.request().set_stdin(true);
  REQUIRE(bundle.Start(ShellSpec("cat; echo eof")).ok());
  for (const char* word : {"one\n", "two\n"}) {
    Attached attached = Attach(bundle, true);
    Type(attached.session.stdin_, word);
    CHECK(ReadUntil(attached.out, "\n") == word);
  }
  CHECK(bundle.ShimIsAlive());
  CHECK(bundle.LogText() == "one\ntwo\n");  // cat has not read the end of the file
}

TEST_CASE("attached clients get all output, and end of file when the container ends",
          "[shim][stdio]") {
  Bundle bundle;
  bundle.request().set_stdin(true);
  REQUIRE(bundle.Start(ShellSpec("read go; seq 1 20000; echo bad >&2")).ok());
  Attached attached = Attach(bundle, true);
  Type(attached.session.stdin_, "go\n");
  const std::string out = Drain(attached.out.get());
  CHECK(Drain(attached.err.get()) == "bad\n");
  CHECK(out.size() == 108'894);
  CHECK(absl::EndsWith(out, "\n20000\n"));
  REQUIRE(bundle.WaitExit().ok());
}

TEST_CASE("a client that does not read is dropped and the container goes on", "[shim][stdio]") {
  Bundle bundle;
  bundle.request().set_stdin(true);
  REQUIRE(bundle.Start(ShellSpec("read go; seq 1 200000")).ok());
  Attached lazy = Attach(bundle, true);
  Attached eager = Attach(bundle, false);
  const int64_t begin_ns = base::MonotonicNanos();
  Type(lazy.session.stdin_, "go\n");
  const std::string out = Drain(eager.out.get());
  CHECK(absl::EndsWith(out, "\n200000\n"));
  CHECK(base::MonotonicNanos() - begin_ns > 2'000'000'000);
  CHECK(base::MonotonicNanos() - begin_ns < 8'000'000'000);
  REQUIRE(bundle.WaitExit().ok());
  CHECK(bundle.LogText().size() == out.size());
}

TEST_CASE("the log gets the last output although a client does not read it", "[shim][stdio]") {
  Bundle bundle;
  bundle.request().set_stdin(true);
  // More than the client's pipe and one chunk of the shim can hold, but so little that the rest
  // fits into the container's pipe: the container ends while output is still unread.
  REQUIRE(bundle
              .Start(ShellSpec("read go; yes last-output | head -n 10000; "
                               "yes last-trace! | head -n 10000 >&2; exit 3"))
              .ok());
  Attached lazy = Attach(bundle, true);
  Type(lazy.session.stdin_, "go\n");
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 3);
  const std::string text = bundle.LogText();
  int lines[2] = {};
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    lines[0] += line == "last-output" ? 1 : 0;
    lines[1] += line == "last-trace!" ? 1 : 0;
  }
  CHECK(lines[0] == 10'000);
  CHECK(lines[1] == 10'000);
}

TEST_CASE("a container with a terminal reads, writes and is resized", "[shim][stdio]") {
  Bundle bundle;
  oci::Spec spec =
      ShellSpec("tty; ls -l /dev/console | cut -c1; read line; stty size; echo got $line");
  spec.process.terminal = true;
  spec.process.user.uid = 1000;
  REQUIRE(bundle.Start(spec).ok());
  Attached attached = Attach(bundle, true, false);
  const auto resized = shim_client::AskResizeTty(bundle.path(), 77, 33);
  REQUIRE(resized.ok());
  REQUIRE(resized->ReceiveMessage<shim::v1::Reply>(nullptr, DeadlineIn(5000))->has_done());
  Type(attached.session.stdin_, "word\n");
  const std::string out = ReadUntil(attached.out, "got word");
  CHECK(out.find("33 77") != std::string::npos);
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 0);
  const std::string text = bundle.LogText();
  INFO(text);
  // The echo of what was typed may come between the lines of the container.
  CHECK(text.find("/dev/pts/0\r\n") != std::string::npos);
  CHECK(text.find("\nc\r\n") != std::string::npos);
  CHECK(text.find("got word\r\n") != std::string::npos);
  CHECK(bundle.RawLog().find("stderr") == std::string::npos);
}

TEST_CASE("output goes on after the container closed and reopened its terminal", "[shim][stdio]") {
  Bundle bundle;
  oci::Spec spec = ShellSpec(
      "exec sh -c 'exec </dev/null >/dev/null 2>&1; sleep 0.2; echo again >/dev/console; sleep "
      "0.1'");
  spec.process.terminal = true;
  CHECK(bundle.Run(spec) == "again\r\n");
}

TEST_CASE("resizing fails when the container has no terminal", "[shim][stdio]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  const auto asked = shim_client::AskResizeTty(bundle.path(), 80, 24);
  REQUIRE(asked.ok());
  const auto reply = asked->ReceiveMessage<shim::v1::Reply>(nullptr, DeadlineIn(5000));
  REQUIRE(reply.ok());
  CHECK(reply->failed().detail() == "the container has no terminal");
  CHECK(reply->failed().error() == ENOTTY);
}

TEST_CASE("a user who is not root can open /dev/stdout and /dev/stderr", "[shim][stdio]") {
  Bundle bundle;
  oci::Spec spec = ShellSpec("echo a >/dev/stdout; echo b >/dev/stderr");
  spec.process.user = {.uid = 1000, .gid = 1000, .umask = {}, .additional_gids = {}};
  const std::string text = bundle.Run(spec);
  CHECK((text == "a\nb\n" || text == "b\na\n"));  // two pipes: their order is not fixed
}

}  // namespace crisp::test
