#include "base/failpoint.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "base/failpoint_page.h"

namespace crisp::base {
namespace {

FailpointPage* Map() {
  const char* path = getenv(kFailpointFile);
  if (path == nullptr) return nullptr;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* page = mmap(nullptr, sizeof(FailpointPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return page == MAP_FAILED ? nullptr : static_cast<FailpointPage*>(page);
}

struct Name {
  char text[FailpointPage::kNameBytes] = {};

  Name(const char* first, const char* rest) {
    size_t used = 0;
    for (const char* part : {first, rest}) {
      while (*part != '\0' && used < sizeof(text) - 1) text[used++] = *part++;
    }
  }
};

void Pass(FailpointPage& page, const Name& name) {
  const uint32_t slot = page.count.fetch_add(1);
  if (slot < FailpointPage::kMaxPassed) memcpy(page.passed[slot], name.text, sizeof(name.text));
  const uint32_t nth = page.nth.load();
  if (nth == 0 || strcmp(name.text, page.wanted) != 0 || page.passes.fetch_add(1) + 1 != nth)
    return;
  page.state.store(FailpointPage::kStanding);
  Futex(page.state, FUTEX_WAKE, INT_MAX);
  while (page.state.load() == FailpointPage::kStanding)
    Futex(page.state, FUTEX_WAIT, FailpointPage::kStanding);
}

}  // namespace

void Failpoint(const char* name, const char* rest) {
  static FailpointPage* const page = Map();
  if (page == nullptr) return;
  const int error = errno;
  Pass(*page, Name(name, rest));
  errno = error;
}

std::vector<std::string> FailpointEnvironment() {
  const char* path = getenv(kFailpointFile);
  if (path == nullptr) return {};
  return {std::string(kFailpointFile) + "=" + path};
}

}  // namespace crisp::base
