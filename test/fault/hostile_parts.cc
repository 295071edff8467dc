#include "fault/hostile_parts.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"

namespace crisp::test {

std::vector<std::string> Mover(int directories) {
  return {"sh", "-c",
          absl::StrCat("mkdir /a /b; cd /a; for i in $(seq ", directories,
                       "); do mkdir $i; (cd $i; touch $(seq 100)); done; echo ready; "
                       "while true; do mv /a/* /b; mv /b/* /a; done")};
}

std::vector<std::string> StopsOthers() {
  return {"sh", "-c", "echo ready; while :; do kill -STOP -1; done"};
}

HoldPlugin::HoldPlugin() {
  char name[] = "/tmp/crisp-load-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  dir_ = name;
  const std::string script = absl::StrReplaceAll(R"(#!/bin/sh
case "$CNI_COMMAND" in
ADD)
  while [ -e DIR/hang-add ]; do sleep 0.1; done
  jq -c .prevResult
  ;;
DEL)
  while [ -e DIR/hang-$CNI_CONTAINERID ]; do sleep 0.1; done
  [ ! -e DIR/fail-$CNI_CONTAINERID ] || exit 1
  : >DIR/released-$CNI_CONTAINERID
  ;;
esac
)",
                                                 {{"DIR", dir_}});
  REQUIRE(base::WriteFileAtomic(File("hold"), script, 0755).ok());
}

HoldPlugin::~HoldPlugin() { (void)base::RemoveTree(dir_); }

void HoldPlugin::Make(const std::string& name) const {
  REQUIRE(base::WriteFileAtomic(File(name), "", 0644).ok());
}

void HoldPlugin::Remove(const std::string& name) const { unlink(File(name).c_str()); }

void HoldPlugin::Join(const Daemon& daemon) const {
  const std::string path = daemon.dir() + "/net.d/10-test.conflist";
  const std::string conf = base::ReadFile(path).value();
  const std::string more =
      absl::StrReplaceAll(conf, {{R"("snat": true})", R"("snat": true}, {"type": "hold"})"}});
  REQUIRE(more != conf);
  REQUIRE(base::WriteFileAtomic(path, more, 0644).ok());
}

}  // namespace crisp::test
