// For tests of what happens when the kernel refuses threads.
#pragma once

namespace crisp::test {

// While it exists, pthread_create(3) fails with EAGAIN for the whole program, after `allowed` more
// threads were made. One at a time.
class NoThreads {
 public:
  explicit NoThreads(int allowed = 0);
  ~NoThreads();
  NoThreads(const NoThreads&) = delete;
};

}  // namespace crisp::test
