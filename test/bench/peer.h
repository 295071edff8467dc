// A CRI runtime that is measured beside others, with directories and a network of its own. All get
// the same images from the same registry. Failures throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "integration/endpoint.h"

namespace crisp::bench {

struct Peer {
  std::string name;
  test::Endpoint* endpoint = nullptr;
  std::function<pid_t()> daemon;
  // Kills the daemon and starts it again. Returns when it serves.
  std::function<void()> restart;
  std::string data;   // the directory with its images
  std::string certs;  // a certs.d tree of its own; empty: plain HTTP on loopback needs none
};

// Removes all its pods, of a measurement that has failed.
void RemovePods(test::Endpoint& endpoint);

}  // namespace crisp::bench
