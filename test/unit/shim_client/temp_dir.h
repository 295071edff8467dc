#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "base/file.h"

namespace crisp::shim_client {

struct TempDir {
  TempDir() {
    char name[] = "/tmp/crisp-shim-client-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~TempDir() { (void)base::RemoveTree(path); }
  std::string path;
};

}  // namespace crisp::shim_client
