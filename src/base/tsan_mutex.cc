// Only in the preset tsan: makes absl::Mutex and absl::CondVar known to ThreadSanitizer. Debian's
// Abseil is not compiled for TSan, so every access that an absl::Mutex guards looked like a race.
// The linker takes a program's own function before one of a shared library, also for calls from
// Abseil and gRPC. So each function here tells TSan what happens, and calls Abseil's.
//
// TSan does not look at what happens inside Abseil's functions. That includes the conditions of
// Await and LockWhen, which any thread that unlocks the mutex evaluates. ReaderLockWhen is not used
// and not here; TSan reports "unlock of an unlocked mutex" if it is.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace {

using absl::Condition;
using absl::CondVar;
using absl::Mutex;
using absl::synchronization_internal::KernelTimeout;

constexpr unsigned kWriter = 0;
constexpr unsigned kReader = __tsan_mutex_read_lock;

// Abseil's function of this mangled name, in the inline namespace of Debian 12.
template <typename Function>
Function* Abseils(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    std::fprintf(stderr, "tsan_mutex: Abseil does not have %s\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

template <typename Call>
void Lock(Mutex* mu, unsigned how, Call lock) {
  __tsan_mutex_pre_lock(mu, how);
  lock();
  __tsan_mutex_post_lock(mu, how, 0);
}

bool TryLock(Mutex* mu, unsigned how, bool (*try_lock)(Mutex*)) {
  how |= __tsan_mutex_try_lock;
  __tsan_mutex_pre_lock(mu, how);
  const bool locked = try_lock(mu);
  __tsan_mutex_post_lock(mu, locked ? how : how | __tsan_mutex_try_lock_failed, 0);
  return locked;
}

void Unlock(Mutex* mu, unsigned how, void (*unlock)(Mutex*)) {
  __tsan_mutex_pre_unlock(mu, how);
  unlock(mu);
  __tsan_mutex_post_unlock(mu, how);
}

// `wait` unlocks the mutex, which its caller holds as a writer, and locks it again.
template <typename Call>
bool Relock(Mutex* mu, Call wait) {
  __tsan_mutex_pre_unlock(mu, kWriter);
  __tsan_mutex_post_unlock(mu, kWriter);
  __tsan_mutex_pre_lock(mu, kWriter);
  const bool result = wait();
  __tsan_mutex_post_lock(mu, kWriter, 0);
  return result;
}

}  // namespace

Mutex::~Mutex() {
  static const auto destroy = Abseils<void(Mutex*)>("_ZN4absl7debian35MutexD1Ev");
  __tsan_mutex_destroy(this, __tsan_mutex_not_static);
  destroy(this);
}

void Mutex::Lock() {
  static const auto lock = Abseils<void(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  ::Lock(this, kWriter, [&] { lock(this); });
}

void Mutex::LockWhen(const Condition& condition) {
  static const auto lock =
      Abseils<void(Mutex*, const Condition&)>("_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE");
  ::Lock(this, kWriter, [&] { lock(this, condition); });
}

// Also LockWhenWithTimeout. It locks whether the condition is true or not, and says which.
bool Mutex::LockWhenWithDeadline(const Condition& condition, absl::Time deadline) {
  static const auto lock = Abseils<bool(Mutex*, const Condition&, absl::Time)>(
      "_ZN4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  bool result = false;
  ::Lock(this, kWriter, [&] { result = lock(this, condition, deadline); });
  return result;
}

bool Mutex::TryLock() {
  static const auto try_lock = Abseils<bool(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  return ::TryLock(this, kWriter, try_lock);
}

void Mutex::Unlock() {
  static const auto unlock = Abseils<void(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  ::Unlock(this, kWriter, unlock);
}

void Mutex::ReaderLock() {
  static const auto lock = Abseils<void(Mutex*)>("_ZN4absl7debian35Mutex10ReaderLockEv");
  ::Lock(this, kReader, [&] { lock(this); });
}

bool Mutex::ReaderTryLock() {
  static const auto try_lock = Abseils<bool(Mutex*)>("_ZN4absl7debian35Mutex13ReaderTryLockEv");
  return ::TryLock(this, kReader, try_lock);
}

void Mutex::ReaderUnlock() {
  static const auto unlock = Abseils<void(Mutex*)>("_ZN4absl7debian35Mutex12ReaderUnlockEv");
  ::Unlock(this, kReader, unlock);
}

// What all forms of Await call when they have to wait.
bool Mutex::AwaitCommon(const Condition& condition, KernelTimeout timeout) {
  static const auto await = Abseils<bool(Mutex*, const Condition&, KernelTimeout)>(
      "_ZN4absl7debian35Mutex11AwaitCommonERKNS0_9ConditionENS0_24synchronization_internal"
      "13KernelTimeoutE");
  return Relock(this, [&] { return await(this, condition, timeout); });
}

// What all forms of Wait call.
bool CondVar::WaitCommon(Mutex* mu, KernelTimeout timeout) {
  static const auto wait = Abseils<bool(CondVar*, Mutex*, KernelTimeout)>(
      "_ZN4absl7debian37CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_internal"
      "13KernelTimeoutE");
  return Relock(mu, [&] { return wait(this, mu, timeout); });
}
