// Log entries in systemd's journal with priority and fields, where a line on stderr would only be
// text: `journalctl -u crisp CRISP_CONTAINER=<id>`, `journalctl -u crisp -p warning`. Thread-safe.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "base/log.h"

namespace crisp::service {

// Whether stderr leads to the journal (JOURNAL_STREAM, systemd.exec(5)). Not so when somebody has
// redirected it: then they want the lines there.
bool StderrIsJournal();

// A base::LogSink. False when journald does not take the entry.
bool SendToJournal(base::LogLevel level, const std::string& text,
                   std::initializer_list<base::LogField> fields);

// The fields of an entry, "NAME=value": MESSAGE, PRIORITY (syslog(3)), SYSLOG_IDENTIFIER, and
// CRISP_<KEY> for each field of the entry.
std::vector<std::string> JournalFields(base::LogLevel level, const std::string& text,
                                       std::initializer_list<base::LogField> fields);

}  // namespace crisp::service
