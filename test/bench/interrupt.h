// A signal only ends what is measured, because everything that was made must be removed.
#pragma once

#include <signal.h>

#include <stdexcept>

namespace crisp::bench {

inline volatile sig_atomic_t interrupted = 0;

// Of SIGINT and SIGTERM.
inline void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

// Throws once there was one.
inline void Continue() {
  if (interrupted != 0) throw std::runtime_error("interrupted");
}

}  // namespace crisp::bench
