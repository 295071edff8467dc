// Which absl code the failure of a step is. Pure, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "ipc/step.h"

namespace crisp::ipc {

// `error` is an errno, 0 if the step failed without one. kResourceExhausted for a full disk, table
// or memory; kInvalidArgument for what the client asked for and cannot be done (a program that does
// not exist); kInternal for the rest. Never kNotFound: clients take that for a missing container.
absl::StatusCode StepStatusCode(Step step, int error);

}  // namespace crisp::ipc
