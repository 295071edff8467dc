// The Stream calls answer like their List twins in several messages, so that none meets a client's
// message limit. Pure.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstddef>
#include <utility>

namespace crisp::rpc {

inline constexpr size_t kBatchBytes = 1 << 20;

// Moves `items` in order into batches of at most kBatchBytes, at least one item in each, and calls
// `send(batch)` for every one until that says false (the client has left).
template <typename Item, typename Send>
void SendBatches(google::protobuf::RepeatedPtrField<Item>& items, Send send) {
  google::protobuf::RepeatedPtrField<Item> batch;
  size_t bytes = 0;
  for (Item& item : items) {
    const size_t size = item.ByteSizeLong();
    if (!batch.empty() && bytes + size > kBatchBytes) {
      if (!send(std::exchange(batch, {}))) return;
      bytes = 0;
    }
    bytes += size;
    *batch.Add() = std::move(item);
  }
  if (!batch.empty()) send(std::move(batch));
}

}  // namespace crisp::rpc
