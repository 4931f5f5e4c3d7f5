#pragma once

#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/plan/task_manifest.h"

namespace tributary {

// The rules that a TorchScript file keeps before LibTorch may load it, held without running any of it: loading already runs
// code (`__setstate__`, default values, C++ classes of torch.classes) and trusts sizes that the file gives. What the
// model's methods do once they are called is checked after loading, in device/torch/graph_check.h; what it costs is
// bounded around the process that runs it. On disk the file is a zip archive; all records lie below one folder of any
// name:
//   version              the number of the format, as text (or .data/version); LibTorch 1.13 reads 1 to 10
//   code/**.py           classes and functions, see module_code.h
//   code/**.debug_pkl    where their lines stood in Python
//   data.pkl             the module and its attributes, see module_pickle.h;  data/0, data/1 … the tensors' bytes
//   constants.pkl        the tensors that the code names;                     constants/0, constants/1 …
//   extra/…              files beside it: tributary.json
// kInvalidArgument: not a TorchScript file; the message says what it is. kModelRefused: one that may not be loaded; the
// message names the record, the place in it and what to do. kTooLarge: a record over its bound.
Status CheckModuleArchive(ByteView archive);

// The module's file of a task that has no module (ModuleFormat::kNone).
inline constexpr std::string_view kNoModule = "This task has no module: devices learn it with a program of their own.\n";
// Whether it is a module for a task with this manifest: kNoModule, or an archive as above.
Status CheckModuleOf(const TaskManifest& manifest, ByteView module);

// The text of the archive's extra/tributary.json, "" when there is none. Errors as above (of a bad archive's outside
// only), and kTooLarge: over kManifestBytes.
Result<std::string> ManifestTextIn(ByteView archive);

// Whether the module itself, not one within it, has the method: a `loss` of its own, for example. For people; a learner
// asks LibTorch. Errors as of ManifestTextIn.
Result<bool> HasMethod(ByteView archive, std::string_view method);

}  // namespace tributary
