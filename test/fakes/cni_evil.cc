// cni_evil: a CNI plugin that misbehaves on request. Its configuration says what each verb does:
//   {"type": "cni_evil", "log": "/tmp/x/log", "ADD": "hang", "DEL": "ok", "STATUS": "error1"}
// Every call appends one JSON line to the log: verb, environment, standard input, its process
// group. A verb that is not configured does "ok". "fail:<n>" fails the first n times, "code:<n>"
// with the error code n; "tag" distinguishes several plugins in one chain.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "base/json.h"

extern char** environ;

namespace {

using crisp::base::Json;

Json GoodResult(const Json& conf) {
  if (conf.contains("prevResult")) return conf["prevResult"];
  return {{"cniVersion", conf["cniVersion"]},
          {"interfaces",
           {{{"name", "host0"}}, {{"name", "eth0"}, {"sandbox", std::getenv("CNI_NETNS")}}}},
          {"ips",
           {{{"address", "fd00::7/64"}, {"interface", 1}},
            {{"address", "192.0.2.1/24"}, {"interface", 0}},
            {{"address", "10.9.8.7/24"}, {"interface", 1}}}}};
}

int Say(const Json& document, int exit_code) {
  std::cout << document.dump() << std::flush;
  return exit_code;
}

Json Error(int code) {
  return {{"cniVersion", "1.0.0"}, {"code", code}, {"msg", "evil\nthing"}, {"details", "happened"}};
}

int Flood() {
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) std::cout << block;
  return 0;
}

// A child that keeps standard output open for longer than any test takes.
void LeaveDaemon() {
  if (fork() != 0) return;
  signal(SIGHUP, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  while (true) pause();
}

void AddToLog(const Json& conf, const char* event, pid_t pid) {
  const std::string line =
      Json{{"verb", event}, {"tag", ""}, {"left", pid}, {"group", pid}}.dump() + "\n";
  const int log = open(conf.at("log").get<std::string>().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (write(log, line.data(), line.size()) < 0) abort();
  close(log);
}

// The same in a session of its own, out of reach of a signal to the plugin's process group. Its pid
// goes to the log.
void LeaveSession(const Json& conf) {
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    while (true) pause();
  }
  AddToLog(conf, "left", pid);
}

int CallsInLog(const std::string& verb, const Json& conf) {
  std::ifstream log(conf["log"].get<std::string>());
  int calls = 0;
  for (std::string line; std::getline(log, line);) {
    const Json call = Json::parse(line);
    if (call["verb"] == verb && call["tag"] == conf.value("tag", "")) ++calls;
  }
  return calls;
}

int Act(const std::string& verb, const std::string& what, const Json& conf) {
  if (what == "hang" || what == "daemon") LeaveDaemon();
  if (what == "session") LeaveSession(conf);
  if (what == "slow") {
    sleep(1);
    AddToLog(conf, "finished", getpid());
  }
  if (what == "hang") {
    while (true) pause();
  }
  if (what == "garbage") return Say("{]\x01 not json", 0);
  if (what == "nothing") return 0;
  if (what == "flood") return Flood();
  if (what == "error0") return Say(Error(7), 0);
  if (what == "error1") return Say(Error(7), 1);
  if (what == "later") return Say(Error(11), 1);
  if (what.rfind("code:", 0) == 0) return Say(Error(std::stoi(what.substr(5))), 1);
  if (what == "unknown") return Say(Error(3), 1);
  if (what == "crash") abort();
  if (what == "stderr") {
    std::cerr << "panic: no route\n";
    return 2;
  }
  if (what.rfind("fail:", 0) == 0 && CallsInLog(verb, conf) <= std::stoi(what.substr(5))) {
    return Say(Error(5), 1);
  }
  if (verb != "ADD") return 0;
  Json result = GoodResult(conf);
  if (what == "no_ip") result.erase("ips");
  if (what == "wrong_version") result["cniVersion"] = "7.0.0";
  if (what == "oldest") {
    result = {{"cniVersion", "0.2.0"}, {"ip4", {{"ip", "10.9.8.7/24"}, {"gateway", "10.9.8.1"}}}};
  }
  if (what == "bad_index") result["ips"][0]["interface"] = 99;
  return Say(result, 0);
}

}  // namespace

int main() {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  const Json conf = Json::parse(input);
  const std::string verb = std::getenv("CNI_COMMAND");
  Json call = {
      {"verb", verb}, {"conf", conf}, {"group", getpgrp()}, {"tag", conf.value("tag", "")}};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    call["env"][text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  for (int fd = 3; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) call["inherited"].push_back(fd);
  }
  const std::string line = call.dump() + "\n";
  const int log = open(conf.at("log").get<std::string>().c_str(),
                       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (write(log, line.data(), line.size()) < 0) return 99;
  close(log);
  return Act(verb, conf.value(verb, "ok"), conf);
}
