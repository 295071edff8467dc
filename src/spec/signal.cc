#include "spec/signal.h"

#include <signal.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "spec/container_spec.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

// Docker's numbers, not SIGRTMIN, which depends on how many signals the libc reserves.
constexpr int kRealtimeMin = 34;
constexpr int kRealtimeMax = 64;

struct NamedSignal {
  absl::string_view name;
  int number;
};
constexpr NamedSignal kSignals[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},       {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},  {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},
    {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},         {"IOT", SIGABRT},
    {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGIO},       {"PROF", SIGPROF},
    {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

// "SIGNAL_SIGRTMINPLUS3" -> "SIGRTMIN+3".
std::string NameOf(v1::Signal signal) {
  absl::string_view name = v1::Signal_Name(signal);
  absl::ConsumePrefix(&name, "SIGNAL_");
  return absl::StrReplaceAll(name, {{"PLUS", "+"}, {"MINUS", "-"}});
}

}  // namespace

absl::StatusOr<int> SignalNumber(absl::string_view text) {
  const absl::Status unknown = Invalid("signal", text, "is not a signal");
  int number = 0;
  if (AllDigits(text)) {
    if (!absl::SimpleAtoi(text, &number) || number < 1 || number > kRealtimeMax) return unknown;
    return number;
  }
  const std::string upper = absl::AsciiStrToUpper(text);
  absl::string_view name = upper;
  absl::ConsumePrefix(&name, "SIG");
  const auto found = std::find_if(std::begin(kSignals), std::end(kSignals),
                                  [&](const NamedSignal& signal) { return signal.name == name; });
  if (found != std::end(kSignals)) return found->number;
  const bool from_min = absl::ConsumePrefix(&name, "RTMIN");
  if (!from_min && !absl::ConsumePrefix(&name, "RTMAX")) return unknown;
  int offset = 0;
  if (!name.empty()) {
    if (!absl::ConsumePrefix(&name, from_min ? "+" : "-") || !AllDigits(name) ||
        !absl::SimpleAtoi(name, &offset) || offset > kRealtimeMax - kRealtimeMin) {
      return unknown;
    }
  }
  return from_min ? kRealtimeMin + offset : kRealtimeMax - offset;
}

v1::Signal CriSignal(int number) {
  for (int value = v1::Signal_MIN; value <= v1::Signal_MAX; ++value) {
    if (!v1::Signal_IsValid(value) || value == v1::SIGNAL_RUNTIME_DEFAULT) continue;
    const auto signal = static_cast<v1::Signal>(value);
    const absl::StatusOr<int> known = SignalNumber(NameOf(signal));
    if (known.ok() && *known == number) return signal;
  }
  return v1::SIGNAL_RUNTIME_DEFAULT;
}

absl::StatusOr<std::string> StopSignal(const v1::ContainerConfig& config,
                                       const oci::ImageConfig& image,
                                       std::vector<std::string>& warnings) {
  if (!v1::Signal_IsValid(config.stop_signal())) {
    return Invalid("stop_signal", config.stop_signal(), "is not a signal");
  }
  int number = SIGTERM;
  if (config.stop_signal() != v1::SIGNAL_RUNTIME_DEFAULT) {
    CRISP_ASSIGN_OR_RETURN(number, SignalNumber(NameOf(config.stop_signal())));
  } else if (!image.stop_signal.empty()) {
    const absl::StatusOr<int> of_image = SignalNumber(image.stop_signal);
    number = of_image.value_or(SIGTERM);
    if (!of_image.ok()) {
      const absl::Status unknown =
          Invalid("stop signal of the image", image.stop_signal, "is not a signal, ignored");
      warnings.emplace_back(unknown.message());
    }
  }
  const v1::Signal signal = CriSignal(number);
  if (signal == v1::SIGNAL_RUNTIME_DEFAULT) return absl::StrCat(number);  // 32 and 33 have no names
  return NameOf(signal);
}

}  // namespace crisp::spec
