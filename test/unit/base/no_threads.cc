#include "no_threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <climits>

namespace crisp::test {
namespace {

std::atomic<int> left = INT_MAX;

}  // namespace

NoThreads::NoThreads(int allowed) { left = allowed; }
NoThreads::~NoThreads() { left = INT_MAX; }

}  // namespace crisp::test

// Takes the place of libc's (or a sanitizer's), also for calls from libstdc++.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) {
  using Create = decltype(&pthread_create);
  static const auto real = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (crisp::test::left != INT_MAX && crisp::test::left-- <= 0) return EAGAIN;
  return real(thread, attributes, run, argument);
}
