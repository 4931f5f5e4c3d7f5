#pragma once

namespace tributary {

// `tributary-device proof TASK VERSION --config FILE [--from FILE]`: whether an update of this device is in a version.
bool IsProofCommand(int argc, char** argv);
// The exit code.
int RunProofCommand(int argc, char** argv);

}  // namespace tributary
