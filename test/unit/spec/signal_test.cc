#include "spec/signal.h"

#include "spec_fixture.h"

namespace crisp::spec {
namespace {

TEST_CASE("the stop signal is the configuration's, else the image's if it is one, else SIGTERM") {
  struct Case {
    const char* config;
    const char* image;
    const char* name;
  };
  const Case cases[] = {{"", "", "SIGTERM"},
                        {"", "SIGQUIT", "SIGQUIT"},
                        {"", "quit", "SIGQUIT"},
                        {"", "3", "SIGQUIT"},
                        {"", "SIGRTMIN+3", "SIGRTMIN+3"},
                        {"", "37", "SIGRTMIN+3"},
                        {"", "RTMAX", "SIGRTMAX"},
                        {"", "33", "33"},
                        {"stop_signal: SIGNAL_SIGUSR1", "SIGQUIT", "SIGUSR1"},
                        {"stop_signal: SIGNAL_SIGRTMAXMINUS14", "", "SIGRTMAX-14"}};
  for (const Case& test : cases) {
    CAPTURE(test.config, test.image);
    Container container(test.config);
    container.image.stop_signal = test.image;
    const absl::StatusOr<ContainerSpecResult> result = container.Make();
    REQUIRE(result.ok());
    CHECK(result->stop_signal == test.name);
    CHECK(SignalNumber(result->stop_signal).ok());
  }
  for (const char* bad : {"SIGNONSENSE", "0", "65", "-9", "SIG", "RTMIN-1", "RTMIN+99", "9x", "+9",
                          "RTMIN+", "RTMAX+1", "SIGSIGTERM", "99999999999999999999", "TERM "}) {
    CAPTURE(bad);
    Container container("");
    container.image.stop_signal = bad;
    const absl::StatusOr<ContainerSpecResult> result = container.Make();
    REQUIRE(result.ok());
    CHECK(result->stop_signal == "SIGTERM");
    CHECK(result->warnings ==
          std::vector<std::string>{
              absl::StrCat("stop signal of the image \"", bad, "\": is not a signal, ignored")});
    CheckRefused(SignalNumber(bad).status(), bad);
  }
  Container strange("");
  strange.image.stop_signal = "SIG\r\nTERM";
  CHECK(strange.Make()->warnings ==
        std::vector<std::string>{
            "stop signal of the image \"SIG\\r\\nTERM\": is not a signal, ignored"});
  CheckRefused(Container("stop_signal: 99").Make().status(), "stop_signal 99");
}

TEST_CASE("CRI signals and kernel numbers correspond") {
  namespace v1 = ::runtime::v1;
  CHECK(*SignalNumber("SIGTERM") == 15);
  CHECK(*SignalNumber("SIGRTMIN") == 34);
  CHECK(*SignalNumber("SIGRTMAX-2") == 62);
  CHECK(CriSignal(15) == v1::SIGNAL_SIGTERM);
  CHECK(CriSignal(6) == v1::SIGNAL_SIGABRT);
  CHECK(CriSignal(17) == v1::SIGNAL_SIGCHLD);
  CHECK(CriSignal(29) == v1::SIGNAL_SIGIO);
  CHECK(CriSignal(34) == v1::SIGNAL_SIGRTMIN);
  CHECK(CriSignal(49) == v1::SIGNAL_SIGRTMINPLUS15);
  CHECK(CriSignal(50) == v1::SIGNAL_SIGRTMAXMINUS14);
  CHECK(CriSignal(64) == v1::SIGNAL_SIGRTMAX);
  for (int number : {-1, 0, 32, 33, 65}) CHECK(CriSignal(number) == v1::SIGNAL_RUNTIME_DEFAULT);
  for (int number = 1; number <= 64; ++number) {
    CAPTURE(number);
    if (number != 32 && number != 33) CHECK(CriSignal(number) != v1::SIGNAL_RUNTIME_DEFAULT);
  }
}

}  // namespace
}  // namespace crisp::spec
