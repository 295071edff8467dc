#include "runtime/output_budget.h"

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

namespace crisp::runtime {
namespace {

constexpr size_t kTotal = 32 << 20;
constexpr size_t kMax = 16 << 20;
constexpr size_t kStep = 64 << 10;
constexpr size_t kCertain = OutputBudget::kCertainBytes;

// Takes until nothing is given any more.
size_t TakeAll(OutputBudget::Share& share) {
  size_t all = 0;
  while (const size_t taken = share.Take(kStep)) all += taken;
  return all;
}

TEST_CASE("one call alone gets all it may have, and no more") {
  OutputBudget budget(kTotal);
  OutputBudget::Share share(budget, kMax - 100);
  CHECK(TakeAll(share) == kMax - 100);
  CHECK(share.Take(1) == 0);
}

TEST_CASE("calls that grow side by side get equal parts, and a late one finds room") {
  OutputBudget budget(kTotal);
  std::vector<std::unique_ptr<OutputBudget::Share>> shares;
  std::vector<size_t> held(20);
  for (size_t i = 0; i < held.size(); ++i) {
    shares.push_back(std::make_unique<OutputBudget::Share>(budget, kMax));
  }
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < held.size(); ++i) {
      const size_t taken = shares[i]->Take(kStep);
      held[i] += taken;
      more = more || taken > 0;
    }
  }
  size_t sum = 0;
  for (const size_t bytes : held) {
    CHECK(bytes - kCertain > kTotal / 22);
    CHECK(bytes - kCertain < kTotal / 20);
    sum += bytes;
  }
  CHECK(sum < kTotal + held.size() * kCertain);
  {
    OutputBudget::Share late(budget, kMax);
    CHECK(TakeAll(late) > kTotal / 50);
  }
  shares.clear();
  OutputBudget::Share next(budget, kMax);
  CHECK(TakeAll(next) >= kMax - 1);  // everything came back
}

TEST_CASE("what others hold cannot keep a small answer from anybody") {
  OutputBudget budget(kTotal);
  std::vector<std::unique_ptr<OutputBudget::Share>> greedy;
  size_t sum = 0;
  for (int i = 0; i < 100; ++i) {
    greedy.push_back(std::make_unique<OutputBudget::Share>(budget, kMax));
    const size_t taken = TakeAll(*greedy.back());
    CHECK(taken >= kCertain);
    sum += taken;
  }
  CHECK(sum <= kTotal + greedy.size() * kCertain);
}

}  // namespace
}  // namespace crisp::runtime
