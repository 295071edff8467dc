#include "fault/kill_points/standstill.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "base/deadline.h"
#include "base/file.h"

namespace crisp::test {

using base::FailpointPage;

Standstill::Standstill(const std::string& path) : path_(path) {
  const auto fd = base::Open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  // Allocated, so that no program gets SIGBUS on a full disk.
  if (!fd.ok() || posix_fallocate(fd->get(), 0, sizeof(FailpointPage)) != 0)
    throw std::runtime_error("cannot make " + path);
  void* page =
      mmap(nullptr, sizeof(FailpointPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0);
  if (page == MAP_FAILED) throw std::runtime_error("cannot map " + path);
  page_ = static_cast<FailpointPage*>(page);
  setenv(base::kFailpointFile, path.c_str(), /*overwrite=*/1);
}

Standstill::~Standstill() {
  Release();
  unsetenv(base::kFailpointFile);
  munmap(page_, sizeof(FailpointPage));
  unlink(path_.c_str());
}

void Standstill::Arm(const std::string& point, uint32_t nth) {
  page_->nth = 0;
  page_->passes = 0;
  page_->count = 0;
  memset(page_->passed, 0, sizeof(page_->passed));
  memset(page_->wanted, 0, sizeof(page_->wanted));
  point.copy(page_->wanted, sizeof(page_->wanted) - 1);
  page_->nth = nth;
}

bool Standstill::Await(absl::Duration patience) const {
  const base::Deadline deadline = base::Deadline::In(patience);
  while (page_->state == FailpointPage::kGoing && !deadline.Passed()) {
    const timespec left = absl::ToTimespec(deadline.Left());
    base::Futex(page_->state, FUTEX_WAIT, FailpointPage::kGoing, &left);
  }
  return page_->state == FailpointPage::kStanding;
}

void Standstill::Release() {
  page_->nth = 0;
  page_->state = FailpointPage::kGoing;
  base::Futex(page_->state, FUTEX_WAKE, INT_MAX);
}

std::vector<std::string> Standstill::Passed() const {
  std::vector<std::string> names;
  const size_t count = std::min<size_t>(page_->count, FailpointPage::kMaxPassed);
  for (size_t i = 0; i < count; ++i) names.emplace_back(page_->passed[i]);
  return names;
}

}  // namespace crisp::test
