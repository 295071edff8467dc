// CRI events of the runtime's changes: what GetContainerEvents tells, with the statuses as they are
// after the change. Thread-safe.
#pragma once

#include "events/hub.h"
#include "runtime/listener.h"

namespace crisp::cri {

class EventAnnouncer final : public runtime::Listener {
 public:
  // Both are borrowed.
  EventAnnouncer(const runtime::Objects& objects, events::Hub& hub)
      : objects_(objects), hub_(hub) {}

  void OnChange(runtime::Change change, const container::Container& container) override;
  void OnChange(runtime::Change change, const sandbox::Sandbox& sandbox) override;

 private:
  const runtime::Objects& objects_;
  events::Hub& hub_;
};

}  // namespace crisp::cri
