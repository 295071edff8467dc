// The connections of crispd: on each a Request, then any number of Controls. The owner decides what
// they do. One thread, event-driven.
#pragma once

#include <list>
#include <vector>

#include "ipc/channel.h"
#include "ipc/step.h"
#include "shim/event_loop.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

class Connection;

class ConnectionOwner {
 public:
  virtual void OnRequest(Connection& connection, const ::shim::v1::Request& request,
                         std::vector<base::UniqueFd> fds) = 0;
  virtual void OnControl(Connection& connection, const ::shim::v1::Control& control) = 0;
  // crispd has closed the connection or sent something that does not parse. The connection is
  // closed already.
  virtual void OnHangup(Connection& connection) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : public EventSource {
 public:
  bool Open(EventLoop& loop, ConnectionOwner& owner, base::UniqueFd fd);
  bool is_open() const { return channel_.valid(); }
  // Open and without a request: crispd's tether, or a request is still to come.
  bool is_idle() const { return is_open() && !has_request_; }
  void Close();

  // Never blocks: when crispd does not read, the connection is closed. False when it is closed; the
  // owner has then got the Controls that had arrived.
  bool Send(const ::shim::v1::Reply& reply, int fd = -1);
  // Send the last reply of an operation and close the connection.
  void Fail(ipc::Step step, int error, absl::string_view detail, bool oom_killed = false);
  void Fail(ipc::Step step, const absl::Status& why);
  void Done();

  void OnEvent(uint32_t events) override;

 private:
  // Hands on a Control that has arrived. False when there is none, or the connection is closed.
  bool TakeControl();

  EventLoop* loop_ = nullptr;
  ConnectionOwner* owner_ = nullptr;
  ipc::Channel channel_;
  bool has_request_ = false;
};

// A listening socket and what was accepted on it.
class Connections final : public EventSource {
 public:
  // `sockets`: the listening one, and those that are connected already. At most `most` at a time;
  // more wait in the listening socket's queue. False and errno on failure.
  bool Open(EventLoop& loop, ConnectionOwner& owner, std::vector<base::UniqueFd> sockets,
            size_t most);
  bool AnyOpen() const;
  // Not within an event: a connection does not delete itself.
  void FreeClosed();
  // When FreeClosed() is due without an event: CLOCK_MONOTONIC, INT64_MAX for never.
  int64_t deadline_ns() const { return accept_again_ns_; }
  // Sends to all idle ones, also to those that were not accepted yet.
  void Tell(const ::shim::v1::Reply& reply);

  void OnEvent(uint32_t events) override;  // of the listener

 private:
  base::UniqueFd Accept() const;

  EventLoop* loop_ = nullptr;
  ConnectionOwner* owner_ = nullptr;
  base::UniqueFd listener_;
  size_t most_ = 0;
  bool accepting_ = false;  // the loop watches the listener
  int64_t accept_again_ns_ = INT64_MAX;
  std::list<Connection> all_;
};

}  // namespace crisp::shim
