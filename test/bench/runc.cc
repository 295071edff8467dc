#include "bench/runc.h"

#include <stdexcept>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"
#include "bench/info_codec.h"
#include "linux/spawn.h"

namespace crisp::bench {
namespace {

linux::RunResult Execute(const std::string& path, const std::vector<std::string>& args) {
  absl::StatusOr<linux::RunResult> result = linux::Run(
      {.path = path, .args = args, .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}, "", {});
  if (!result.ok()) throw std::runtime_error(std::string(result.status().message()));
  return *std::move(result);
}

std::string MustExecute(const std::string& path, const std::vector<std::string>& args) {
  const linux::RunResult result = Execute(path, args);
  if (result.exit_code != 0 || result.signal != 0) {
    throw std::runtime_error(absl::StrCat(absl::StrJoin(args, " "), ": exit ", result.exit_code,
                                          ", signal ", result.signal, ": ", result.err));
  }
  return result.out;
}

void MustRun(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

constexpr char kRunc[] = "/usr/sbin/runc";

}  // namespace

Runc::Runc(const std::string& dir, pid_t container, const std::string& spec)
    : dir_(dir), rootfs_(dir + "/rootfs"), id_("crisp-bench-" + base::NewId().substr(0, 8)) {
  MustRun(base::MakeDirs(rootfs_, 0755));
  // Copies only the merged overlay; directories with a mount stay empty.
  MustExecute("/bin/cp", {"cp", "-a", "--one-file-system",
                          absl::StrCat("/proc/", container, "/root/."), rootfs_});
  for (const bool own_network : {false, true}) {
    MustRun(base::MakeDirs(Bundle(own_network), 0755));
    MustRun(base::WriteFileAtomic(
        Bundle(own_network) + "/config.json",
        RuncSpec(spec, {.rootfs = rootfs_, .cgroup = "/" + id_, .own_network = own_network}),
        0644));
  }
}

void Runc::AddProgram(const std::string& path, const std::string& name) {
  MustExecute("/bin/cp", {"cp", path, rootfs_ + "/" + name});
}

std::string Runc::Bundle(bool own_network) const {
  return dir_ + (own_network ? "/bundle-own" : "/bundle-host");
}

int64_t Runc::RunTrue(bool own_network) {
  const std::string state = dir_ + "/state";
  const int64_t begin = base::MonotonicNanos();
  try {
    MustExecute(kRunc, {"runc", "--root", state, "run", "--bundle", Bundle(own_network), id_});
  } catch (const std::exception&) {
    (void)Execute(kRunc, {"runc", "--root", state, "delete", "--force", id_});
    throw;
  }
  return base::MonotonicNanos() - begin;
}

std::string Runc::Version() {
  const std::string text = MustExecute(kRunc, {"runc", "--version"});
  return text.substr(0, text.find('\n'));
}

}  // namespace crisp::bench
