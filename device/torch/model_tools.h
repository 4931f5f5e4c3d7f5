#pragma once

namespace tributary {

// `tributary-device new-model|pack|export|evaluate …`: work on model files that needs LibTorch. Whether argv names one
// of them.
bool IsModelTool(int argc, char** argv);
// Returns the program's exit code.
int RunModelTool(int argc, char** argv);

}  // namespace tributary
