// Requests to the kernel over a netlink socket, and its answers. libnl makes and reads messages;
// sending and waiting is done here, because libnl turns errno into fewer codes of its own, and has
// no deadline. The kernel works on a request within send(2), which no deadline can end, and
// everything else ends at the socket's deadline. A dump of which the kernel says that it changed
// while it was read is asked for again.
// Not thread-safe: one socket, one thread (shared_netlink.h: one socket, many threads). The socket
// stays in the network namespace of the thread that opened it. Source: netlink(7), rtnetlink(7).
#pragma once

#include <net/if.h>  // before <linux/if.h>, which libnl includes: only so do the two agree
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/deadline.h"
#include "base/unique_fd.h"

namespace crisp::cni::native {

// A request that is being put together: a header, then attributes, which may nest. What does not
// fit any more is noticed when it is sent.
class Message {
 public:
  Message(uint16_t type, uint16_t flags);

  template <typename T>
  Message& Header(const T& header) {
    Note(nlmsg_append(message_.get(), const_cast<T*>(&header), sizeof(header), NLMSG_ALIGNTO));
    return *this;
  }
  Message& Put(int type, absl::string_view bytes);
  Message& PutU8(int type, uint8_t value);
  Message& PutU32(int type, uint32_t value);
  // Network byte order, as nftables has numbers.
  Message& PutBe32(int type, uint32_t value);
  // Ends with a NUL.
  Message& PutName(int type, const std::string& name);
  // What `fill` puts is inside an attribute of this type.
  Message& Nest(int type, const std::function<void()>& fill);

  // Its length is set.
  nlmsghdr* raw() { return nlmsg_hdr(message_.get()); }
  bool complete() const { return complete_; }

 private:
  void Note(int result) { complete_ = complete_ && result >= 0; }

  struct Free {
    void operator()(nl_msg* message) const { nlmsg_free(message); }
  };
  std::unique_ptr<nl_msg, Free> message_;
  bool complete_ = true;
};

class Netlink {
 public:
  // `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER; `groups`: bits of multicast groups to be in.
  static absl::StatusOr<Netlink> Open(int protocol, base::Deadline deadline, uint32_t groups = 0);
  // Of a socket that is open; tests have an end of a pair, and answer at the other one.
  Netlink(base::UniqueFd fd, base::Deadline deadline) : fd_(std::move(fd)), deadline_(deadline) {}

  using Reader = std::function<void(nlmsghdr*)>;
  // Sends a request and waits until the kernel has done it. `read` gets each message that answers
  // it; of a dump (NLM_F_DUMP) only when all have come, and kUnavailable when it has changed each
  // time. Other errors are base::Errno(what).
  absl::Status Do(Message request, absl::string_view what, const Reader& read = nullptr);
  // Several requests at once: nftables does all of a batch or nothing. The first error counts.
  absl::Status DoAll(std::vector<Message> requests, absl::string_view what,
                     const Reader& read = nullptr);

  // For what comes next.
  void SetDeadline(base::Deadline deadline) { deadline_ = deadline; }

  // False once an answer was not waited for, or not understood: the kernel makes no other dump for
  // a socket while one has not been read to its end.
  bool usable() const { return usable_; }

  // Waits until the kernel has sent something to one of the groups, at most `longest`, and forgets
  // what it was: the caller looks again at what it waits for.
  absl::Status AwaitNews(absl::Duration longest);
  // Of the news about links (RTMGRP_LINK) only those of this one, from now on: with many pods at
  // once each would otherwise wake up for each change of all others.
  absl::Status HearOnlyOf(uint32_t link);

 private:
  struct Answers;
  absl::Status Exchange(std::vector<Message>& requests, absl::string_view what, Answers& answers);
  absl::Status Dump(std::vector<Message> requests, absl::string_view what, const Reader& read);
  absl::Status Send(const std::string& text, absl::string_view what) const;
  absl::Status ReceiveAll(absl::string_view what, Answers& answers);
  absl::Status Receive(absl::string_view what, size_t& size);
  // Whether the last answer has come.
  absl::StatusOr<bool> Take(nlmsghdr* answer, Answers& answers) const;

  base::UniqueFd fd_;
  base::Deadline deadline_;
  uint32_t sequence_ = 0;
  bool usable_ = true;
  std::vector<char> buffer_;
};

}  // namespace crisp::cni::native
