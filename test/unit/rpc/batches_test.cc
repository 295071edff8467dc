#include "rpc/batches.h"

#include <catch2/catch.hpp>
#include <string>

#include "runtime/v1/api.pb.h"

namespace crisp::rpc {
namespace {

using Items = google::protobuf::RepeatedPtrField<::runtime::v1::Container>;

Items Make(const std::vector<size_t>& sizes) {
  Items items;
  for (size_t i = 0; i < sizes.size(); ++i) {
    items.Add()->set_id(std::to_string(i));
    items.rbegin()->set_image_ref(std::string(sizes[i], 'x'));
  }
  return items;
}

std::vector<std::vector<std::string>> Batches(Items items, size_t stop_after = 1000) {
  std::vector<std::vector<std::string>> sent;
  SendBatches(items, [&](const Items& batch) {
    sent.emplace_back();
    for (const ::runtime::v1::Container& item : batch) sent.back().push_back(item.id());
    return sent.size() < stop_after;
  });
  return sent;
}

}  // namespace

TEST_CASE("every item is sent once, in order, in batches of a bounded size") {
  CHECK(Batches({}).empty());
  CHECK(Batches(Make({1, 1, 1})) == std::vector<std::vector<std::string>>{{"0", "1", "2"}});
  const size_t half = kBatchBytes / 2;
  CHECK(Batches(Make({half, half, 1, 1})) ==
        std::vector<std::vector<std::string>>{{"0"}, {"1", "2", "3"}});
}

TEST_CASE("an item that is larger than a batch goes alone") {
  CHECK(Batches(Make({1, 3 * kBatchBytes, 1})) ==
        std::vector<std::vector<std::string>>{{"0"}, {"1"}, {"2"}});
}

TEST_CASE("nothing is sent to a reader that is gone") {
  CHECK(Batches(Make({kBatchBytes, kBatchBytes, kBatchBytes}), 1).size() == 1);
}

}  // namespace crisp::rpc
