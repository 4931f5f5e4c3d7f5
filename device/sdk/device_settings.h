#pragma once

#include "device/sdk/embedded_device.h"
#include "device/sdk/include/tributary/tributary.h"

namespace tributary {

// The settings of tributary_open, read and checked. kConfigInvalid and kInvalidArgument name the option.
Result<EmbeddedDevice::Options> TakeOptions(const tributary_options* given);

// tributary-learner in the folder bin beside a folder above this library's file; its bare name, for PATH, when there is none.
std::string LearnerBesideLibrary();

}  // namespace tributary
