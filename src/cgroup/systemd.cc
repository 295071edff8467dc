#include "cgroup/systemd.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::cgroup {
namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kObject[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";

struct Unref {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Bus = std::unique_ptr<sd_bus, Unref>;
using Message = std::unique_ptr<sd_bus_message, Unref>;

struct BusError {
  sd_bus_error error = SD_BUS_ERROR_NULL;
  ~BusError() { sd_bus_error_free(&error); }

  // Of a call that returned `code` < 0.
  absl::Status ToStatus(int code) const {
    if (!sd_bus_error_is_set(&error)) return base::Errno("D-Bus", "", -code);
    const std::string text = error.message != nullptr ? error.message : error.name;
    if (sd_bus_error_has_name(&error, "org.freedesktop.systemd1.UnitExists")) {
      return absl::AlreadyExistsError(text);
    }
    if (sd_bus_error_has_name(&error, "org.freedesktop.systemd1.NoSuchUnit")) {
      return absl::NotFoundError(text);
    }
    return absl::UnavailableError(text);
  }
};

absl::StatusOr<Bus> Connect() {
  sd_bus* bus = nullptr;
  const int code = sd_bus_open_system(&bus);
  if (code < 0) return absl::UnavailableError(absl::StrCat("system bus: ", base::ErrnoText(-code)));
  return Bus(bus);
}

uint64_t MicrosecondsUntil(base::Deadline deadline) {
  // sd-bus takes UINT64_MAX for no limit, and 0 for its default of 25 s.
  if (deadline.is_never()) return UINT64_MAX;
  return static_cast<uint64_t>(std::max<int64_t>(1, absl::ToInt64Microseconds(deadline.Left())));
}

// A job of systemd. Every request is answered with one, and the work is done when the job ends.
struct Job {
  std::string path;
  std::string result;  // empty while it runs
};

int OnJobRemoved(sd_bus_message* signal, void* data, sd_bus_error*) {
  auto* job = static_cast<Job*>(data);
  uint32_t id = 0;
  const char *path = nullptr, *unit = nullptr, *result = nullptr;
  if (sd_bus_message_read(signal, "uoss", &id, &path, &unit, &result) >= 0 && job->path == path) {
    job->result = result;
  }
  return 0;
}

// Sends a request and waits until the job that systemd answers with has ended.
absl::Status RunJob(sd_bus* bus, Job& job, sd_bus_message* request, base::Deadline deadline) {
  BusError error;
  sd_bus_message* reply = nullptr;
  int code = sd_bus_call(bus, request, MicrosecondsUntil(deadline), &error.error, &reply);
  const Message owner(reply);
  if (code < 0) return error.ToStatus(code);
  const char* path = nullptr;
  code = sd_bus_message_read(reply, "o", &path);
  if (code < 0) return base::Errno("D-Bus answer", "", -code);
  // sd-bus has queued the signals that came in the meantime.
  job.path = path;
  while (job.result.empty()) {
    code = sd_bus_process(bus, nullptr);
    if (code == 0) {
      if (deadline.Passed())
        return absl::DeadlineExceededError("systemd did not finish the job in time");
      code = sd_bus_wait(bus, MicrosecondsUntil(deadline));
    }
    if (code < 0 && code != -EINTR) return base::Errno("D-Bus", "", -code);
  }
  if (job.result == "done") return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("systemd's job ended as \"", job.result, "\""));
}

// Opens a connection, builds the request with `fill` and runs it.
template <typename Fill>
absl::Status Request(const char* method, Fill fill, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const Bus bus, Connect());
  Job job;  // outlives the match, which ends with the slot below
  sd_bus_slot* match = nullptr;
  int code = sd_bus_match_signal(bus.get(), &match, kService, kObject, kManager, "JobRemoved",
                                 OnJobRemoved, &job);
  const std::unique_ptr<sd_bus_slot, sd_bus_slot* (*)(sd_bus_slot*)> slot(match, sd_bus_slot_unref);
  if (code < 0) return base::Errno("D-Bus match", "", -code);
  sd_bus_message* message = nullptr;
  code = sd_bus_message_new_method_call(bus.get(), &message, kService, kObject, kManager, method);
  const Message owner(message);
  if (code >= 0) code = fill(message);
  if (code < 0) return base::Errno("D-Bus request", "", -code);
  return RunJob(bus.get(), job, message, deadline);
}

int AppendScope(sd_bus_message* message, const Scope& scope) {
  constexpr uint64_t kUnlimited = UINT64_MAX;
  // "replace" also cancels a pending stop of the slice, which systemd may have queued when the last
  // pod left it.
  int code = sd_bus_message_append(message, "ss", scope.unit.c_str(), "replace");
  if (code >= 0) code = sd_bus_message_open_container(message, 'a', "(sv)");
  if (code >= 0) {
    // DefaultDependencies=no: at shutdown crispd and kubelet stop before the containers.
    // CollectMode: systemd does not keep a failed unit. TasksMax: without it the manager's default
    // would limit the whole pod.
    code = sd_bus_message_append(message, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)",            //
                                 "Description", "s", scope.description.c_str(),      //
                                 "Slice", "s", scope.slice.c_str(),                  //
                                 "PIDs", "au", 1, static_cast<uint32_t>(scope.pid),  //
                                 "Delegate", "b", 1,                                 //
                                 "DefaultDependencies", "b", 0,                      //
                                 "CollectMode", "s", "inactive-or-failed",           //
                                 "TasksMax", "t", kUnlimited);
  }
  if (code >= 0) code = sd_bus_message_close_container(message);
  if (code >= 0) code = sd_bus_message_open_container(message, 'a', "(sa(sv))");
  for (const std::string& slice : scope.new_slices) {
    if (code >= 0) {
      code = sd_bus_message_append(message, "(sa(sv))", slice.c_str(), 2,  //
                                   "Description", "s", "slice made for crisp", "StopWhenUnneeded",
                                   "b", 1);
    }
  }
  return code < 0 ? code : sd_bus_message_close_container(message);
}

}  // namespace

absl::StatusOr<std::string> SystemdVersion() {
  if (sd_booted() <= 0) {
    return absl::FailedPreconditionError("systemd is not PID 1 of this machine");
  }
  CRISP_ASSIGN_OR_RETURN(const Bus bus, Connect());
  BusError error;
  char* version = nullptr;
  const int code = sd_bus_get_property_string(bus.get(), kService, kObject, kManager, "Version",
                                              &error.error, &version);
  if (code < 0) return base::Prefix(error.ToStatus(code), "ask systemd for its version");
  const std::unique_ptr<char, void (*)(void*)> owner(version, free);
  return std::string(version);
}

absl::Status StartScope(const Scope& scope, base::Deadline deadline) {
  const auto fill = [&](sd_bus_message* message) { return AppendScope(message, scope); };
  return base::Prefix(Request("StartTransientUnit", fill, deadline),
                      absl::StrCat("start ", scope.unit));
}

absl::Status StopUnit(const std::string& unit, base::Deadline deadline) {
  const auto fill = [&](sd_bus_message* message) {
    return sd_bus_message_append(message, "ss", unit.c_str(), "replace");
  };
  const absl::Status stopped = Request("StopUnit", fill, deadline);
  if (absl::IsNotFound(stopped)) return absl::OkStatus();
  return base::Prefix(stopped, absl::StrCat("stop ", unit));
}

}  // namespace crisp::cgroup
