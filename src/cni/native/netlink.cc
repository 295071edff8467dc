#include "cni/native/netlink.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstddef>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

constexpr size_t kMaxRequestBytes = 4096;
constexpr size_t kUsualRoom = 128 << 10;  // a socket has 208 KiB unless the system says otherwise
constexpr size_t kMaxAnswerBytes = 64 << 10;  // the kernel sends dumps in parts of at most 32 KiB
// Each time another change would have to come between two parts, which take microseconds.
constexpr int kDumpRounds = 16;

}  // namespace

// Of one exchange.
struct Netlink::Answers {
  const Reader& read;
  uint32_t first = 0;
  uint32_t last = 0;  // of the requests that are answered
  int error = 0;      // the first one
  bool interrupted = false;
};

Message::Message(uint16_t type, uint16_t flags) : message_(nlmsg_alloc_size(kMaxRequestBytes)) {
  if (message_ == nullptr) throw std::bad_alloc();
  complete_ = nlmsg_put(message_.get(), 0, 0, type, 0, flags | NLM_F_REQUEST) != nullptr;
}

Message& Message::Put(int type, absl::string_view bytes) {
  Note(nla_put(message_.get(), type, static_cast<int>(bytes.size()), bytes.data()));
  return *this;
}

Message& Message::PutU8(int type, uint8_t value) {
  Note(nla_put_u8(message_.get(), type, value));
  return *this;
}

Message& Message::PutU32(int type, uint32_t value) {
  Note(nla_put_u32(message_.get(), type, value));
  return *this;
}

Message& Message::PutBe32(int type, uint32_t value) { return PutU32(type, htonl(value)); }

Message& Message::PutName(int type, const std::string& name) {
  Note(nla_put_string(message_.get(), type, name.c_str()));
  return *this;
}

Message& Message::Nest(int type, const std::function<void()>& fill) {
  nlattr* const start = nla_nest_start(message_.get(), type);
  if (start == nullptr) {
    complete_ = false;
    return *this;
  }
  fill();
  Note(nla_nest_end_keep_empty(message_.get(), start));
  return *this;
}

absl::StatusOr<Netlink> Netlink::Open(int protocol, base::Deadline deadline, uint32_t groups) {
  base::UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd.valid()) return base::Errno("socket", "AF_NETLINK");
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::Errno("bind", "AF_NETLINK");
  }
  return Netlink(std::move(fd), deadline);
}

absl::Status Netlink::Do(Message request, absl::string_view what, const Reader& read) {
  // A flag is not enough: the two of a dump mean something else in other requests.
  const bool dump = (request.raw()->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  std::vector<Message> requests;
  requests.push_back(std::move(request));
  return dump ? Dump(std::move(requests), what, read) : DoAll(std::move(requests), what, read);
}

absl::Status Netlink::DoAll(std::vector<Message> requests, absl::string_view what,
                            const Reader& read) {
  Answers answers = {.read = read};
  return Exchange(requests, what, answers);
}

absl::Status Netlink::Dump(std::vector<Message> requests, absl::string_view what,
                           const Reader& read) {
  for (int round = 0; round < kDumpRounds; ++round) {
    std::vector<std::string> messages;
    const Reader keep = [&](nlmsghdr* answer) {
      messages.emplace_back(reinterpret_cast<const char*>(answer), answer->nlmsg_len);
    };
    Answers answers = {.read = keep};
    CRISP_RETURN_IF_ERROR(Exchange(requests, what, answers));
    if (answers.interrupted) continue;
    for (std::string& message : messages) {
      if (read) read(reinterpret_cast<nlmsghdr*>(message.data()));
    }
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(what, ": it changes each time it is read"));
}

absl::Status Netlink::Exchange(std::vector<Message>& requests, absl::string_view what,
                               Answers& answers) {
  if (deadline_.Passed()) return absl::DeadlineExceededError(absl::StrCat(what, ": out of time"));
  answers.first = sequence_ + 1;
  std::string text;
  for (Message& request : requests) {
    if (!request.complete()) return base::Errno(what, "", EMSGSIZE);
    request.raw()->nlmsg_seq = ++sequence_;
    if ((request.raw()->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) != 0) answers.last = sequence_;
    text.append(reinterpret_cast<const char*>(request.raw()), request.raw()->nlmsg_len);
    text.resize(NLMSG_ALIGN(text.size()));
  }
  CRISP_RETURN_IF_ERROR(Send(text, what));
  usable_ = false;
  CRISP_RETURN_IF_ERROR(ReceiveAll(what, answers));
  usable_ = true;
  return answers.error == 0 ? absl::OkStatus() : base::Errno(what, "", answers.error);
}

// To the kernel, which is where a socket that is not connected sends. A batch can be larger than
// the socket's room, of which root may have more than the system's limit.
absl::Status Netlink::Send(const std::string& text, absl::string_view what) const {
  const int room = static_cast<int>(text.size() + kMaxRequestBytes);
  if (text.size() > kUsualRoom) {
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));  // send(2) tells
  }
  if (send(fd_.get(), text.data(), text.size(), 0) < 0) return base::Errno(what, "");
  return absl::OkStatus();
}

absl::Status Netlink::ReceiveAll(absl::string_view what, Answers& answers) {
  for (bool done = false; !done;) {
    size_t size = 0;
    CRISP_RETURN_IF_ERROR(Receive(what, size));
    int left = static_cast<int>(size);
    for (auto* answer = reinterpret_cast<nlmsghdr*>(buffer_.data());
         !done && nlmsg_ok(answer, left); answer = nlmsg_next(answer, &left)) {
      CRISP_ASSIGN_OR_RETURN(done, Take(answer, answers));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Netlink::Take(nlmsghdr* answer, Answers& answers) const {
  // An answer to an earlier request of which the caller has not read all, or news.
  if (answer->nlmsg_seq < answers.first || answer->nlmsg_seq > sequence_) return false;
  const bool last = answer->nlmsg_seq == answers.last;
  if ((answer->nlmsg_flags & NLM_F_DUMP_INTR) != 0) answers.interrupted = true;
  const bool end = answer->nlmsg_type == NLMSG_DONE;
  if (!end && answer->nlmsg_type != NLMSG_ERROR) {
    if (answers.read) answers.read(answer);
    return false;
  }
  // Both begin with a code. The end of a dump may come without.
  if (nlmsg_datalen(answer) < static_cast<int>(sizeof(int))) {
    if (end) return last;
    return absl::InternalError("netlink: an answer is cut off");
  }
  const int code = *static_cast<const int*>(nlmsg_data(answer));
  if (code < 0 && answers.error == 0) answers.error = -code;
  // An error of a batch as a whole answers its first message, and is the only one.
  return last || (code < 0 && answer->nlmsg_seq == answers.first);
}

absl::Status Netlink::Receive(absl::string_view what, size_t& size) {
  buffer_.resize(kMaxAnswerBytes);
  pollfd ready = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  int count = 0;
  do {
    count = poll(&ready, 1, deadline_.PollMillis());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return base::Errno(what, "");
  if (count == 0) return absl::DeadlineExceededError(absl::StrCat(what, ": out of time"));
  const ssize_t got = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
  if (got < 0) return base::Errno(what, "");
  if (static_cast<size_t>(got) > buffer_.size()) return base::Errno(what, "", EMSGSIZE);
  size = static_cast<size_t>(got);
  return absl::OkStatus();
}

absl::Status Netlink::AwaitNews(absl::Duration longest) {
  const base::Deadline until = std::min(deadline_, base::Deadline::In(longest));
  pollfd ready = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, until.PollMillis()) < 0 && errno != EINTR) return base::Errno("poll", "");
  buffer_.resize(kMaxAnswerBytes);
  // ENOBUFS: more than the socket has room for. Something has happened all the same.
  while (!until.Passed() && recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT) > 0) {
  }
  if (deadline_.Passed()) return absl::DeadlineExceededError("out of time");
  return absl::OkStatus();
}

absl::Status Netlink::HearOnlyOf(uint32_t link) {
  constexpr uint32_t kIndex = NLMSG_HDRLEN + offsetof(ifinfomsg, ifi_index);
  // Loads come in network byte order.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIndex),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(link), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0) {
    return base::Errno("filter news of links", "");
  }
  return absl::OkStatus();
}

}  // namespace crisp::cni::native
