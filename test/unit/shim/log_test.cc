// The container's log as crisp-shim writes it.
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <regex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "bundle.h"

namespace crisp::test {

TEST_CASE("lines have the CRI format", "[shim][log]") {
  Bundle bundle;
  bundle.Run(ShellSpec("echo one; echo; printf 'two\\nthree'; printf 'err\\n' >&2"));
  const std::vector<std::string> lines = absl::StrSplit(bundle.RawLog(), '\n');
  REQUIRE(lines.size() == 6);
  const std::string time = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z ";
  for (const char* wanted :
       {"stdout F one", "stdout F ", "stdout F two", "stdout P three", "stderr F err"}) {
    int found = 0;
    for (const std::string& line : lines)
      found += std::regex_match(line, std::regex(time + wanted)) ? 1 : 0;
    INFO(wanted);
    CHECK(found == 1);
  }
}

TEST_CASE("all bytes are kept, and long lines are written in pieces", "[shim][log]") {
  Bundle bundle;
  // 1 MiB without a newline, NUL, bytes that are not UTF-8, CR, lines around the limit.
  const std::string script =
      "dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' 'x'; echo; "
      "printf '\\377\\376\\0\\r\\n'; "
      "for n in 16383 16384 16385 32768; do head -c $n /dev/zero | tr '\\0' 'y'; echo; done; "
      "printf end";
  const std::string text = bundle.Run(ShellSpec(script));
  std::string wanted = std::string(1 << 20, 'x') + "\n" + std::string("\377\376\0\r\n", 5);
  for (const size_t n : {16383u, 16384u, 16385u, 32768u}) wanted += std::string(n, 'y') + "\n";
  CHECK(text == wanted + "end");
  for (const absl::string_view line : absl::StrSplit(bundle.RawLog(), '\n')) {
    CHECK(line.size() <= 40 + 16384);
  }
}

TEST_CASE("a lot of output is written completely and in order", "[shim][log]") {
  Bundle bundle;
  const std::string text = bundle.Run(ShellSpec("seq 1 300000"));
  std::string wanted;
  for (int i = 1; i <= 300'000; ++i) absl::StrAppend(&wanted, i, "\n");
  CHECK(text == wanted);
}

TEST_CASE("a container that never stops writing costs a quarter of a CPU beside its own",
          "[shim][log]") {
  Bundle bundle;
  const int64_t begin_ns = base::MonotonicNanos();
  REQUIRE(bundle
              .Start(ShellSpec("yes & yes >&2 & sleep 1.5; kill $(jobs -p); echo >/done; "
                               "while ! test -e /stop; do sleep 0.01; done"))
              .ok());
  clockid_t shim;
  REQUIRE(clock_getcpuclockid(bundle.shim_pid(), &shim) == 0);
  const int64_t cpu_begin_ns = base::ClockNanos(shim);
  (void)Await(bundle.upper() + "/done", [](const std::string& text) { return !text.empty(); });
  const int64_t cpu_ns = base::ClockNanos(shim) - cpu_begin_ns;
  const int64_t elapsed_ns = base::MonotonicNanos() - begin_ns;
  INFO(cpu_ns << " ns of " << elapsed_ns);
  CHECK(elapsed_ns > 1'500'000'000);
  CHECK(cpu_ns < elapsed_ns / 3);
  REQUIRE(bundle.Exec({"touch", "/stop"}).ok());
  REQUIRE(bundle.WaitExit().ok());
}

TEST_CASE("after a reopen output goes to the new file", "[shim][log]") {
  Bundle bundle;
  REQUIRE(bundle
              .Start(ShellSpec("echo before; while ! test -e /go; do sleep 0.01; done; echo after; "
                               "while ! test -e /stop; do sleep 0.01; done"))
              .ok());
  Await(bundle.log_path(), [](const std::string& text) { return !text.empty(); });
  const std::string old = bundle.path() + "/rotated";
  REQUIRE(rename(bundle.log_path().c_str(), old.c_str()) == 0);
  REQUIRE(shim_client::ReopenLog(bundle.path(), DeadlineIn(5000)).ok());
  CHECK(access(bundle.log_path().c_str(), F_OK) == 0);
  REQUIRE(bundle.Exec({"touch", "/go"}).ok());
  Await(bundle.log_path(), [](const std::string& text) { return !text.empty(); });
  CHECK(bundle.LogText() == "after\n");
  CHECK(Slurp(old).find("before") != std::string::npos);
  CHECK(Slurp(old).find("after") == std::string::npos);

  // The file cannot be created: the old one stays in use.
  REQUIRE(unlink(bundle.log_path().c_str()) == 0);
  REQUIRE(mkdir(bundle.log_path().c_str(), 0755) == 0);
  CHECK_FALSE(shim_client::ReopenLog(bundle.path(), DeadlineIn(5000)).ok());
  REQUIRE(rmdir(bundle.log_path().c_str()) == 0);
  REQUIRE(bundle.Exec({"touch", "/stop"}).ok());
  CHECK(bundle.WaitExit().ok());
}

TEST_CASE("a log path that is a link or a FIFO is refused", "[shim][log]") {
  for (const char* command : {"ln -s /tmp/elsewhere ", "mkfifo "}) {
    Bundle bundle;
    REQUIRE(system((command + bundle.log_path()).c_str()) == 0);
    const auto started = bundle.Start(ShellSpec("true"));
    CHECK_FALSE(started.ok());
    CHECK(access("/tmp/elsewhere", F_OK) != 0);
    (void)bundle.WaitExit();
  }
}

TEST_CASE("a container without a log path runs", "[shim][log]") {
  Bundle bundle;
  bundle.request().clear_log_path();
  bundle.Run(ShellSpec("seq 1 100000; exit 9"), 9);
}

TEST_CASE("with a full disk whole lines are dropped and the container goes on", "[shim][log]") {
  Bundle bundle;
  const std::string disk = bundle.path() + ".disk";
  REQUIRE(mkdir(disk.c_str(), 0755) == 0);
  REQUIRE(system(("mount -t tmpfs -o size=64k tmpfs " + disk).c_str()) == 0);
  bundle.request().set_log_path(disk + "/log");
  const absl::StatusOr<shim::v1::Started> started = bundle.Start(ShellSpec("seq 1 50000; exit 6"));
  const absl::StatusOr<ipc::ExitRecord> fact = bundle.WaitExit();
  const std::string log = Slurp(disk + "/log");
  REQUIRE(system(("umount " + disk + " && rmdir " + disk).c_str()) == 0);
  REQUIRE(started.ok());
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 6);
  CHECK(log.size() > 32'000);
  CHECK(log.back() == '\n');
  CHECK(std::count(log.begin(), log.end(), '\n') < 50'000);
}

}  // namespace crisp::test
