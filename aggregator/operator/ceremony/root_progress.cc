#include "aggregator/operator/ceremony/root_progress.h"

#include "aggregator/publish/root_ceremony.h"

namespace tributary {
namespace {

std::string Plural(size_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

// What is still missing, in words; empty: nothing.
std::string Missing(const RootProgress& progress) {
  std::string missing;
  if (progress.by_previous < progress.previous_threshold)
    missing += Plural(progress.previous_threshold - progress.by_previous, "signature") + " by keys of the root before";
  if (progress.by_itself < progress.threshold) {
    missing += missing.empty() ? "" : " and ";
    missing += Plural(progress.threshold - progress.by_itself, "signature") + " by its own keys";
  }
  return missing;
}

}  // namespace

Status CopyToCa(const RootOptions& options, uint64_t version) {
  if (options.ca.empty()) return {};
  ASSIGN_OR_RETURN(const Bytes root, ReadFile(RealFileSystem(), MetadataFile(options.folder, version, tuf::kRootRole),
                                              limits::kRootBytes));
  return WriteFileAtomically(RealFileSystem(), options.ca / "root.json", root);
}

Status SayProgress(const Context& context, const RootOptions& options, uint64_t version) {
  ASSIGN_OR_RETURN(const RootProgress progress, ProgressOf(RealFileSystem(), options.folder, version));
  const std::string file = MetadataFile(options.folder, version, tuf::kRootRole).string();
  const std::string missing = Missing(progress);
  if (context.json())
    context.PrintObject({{"root", version}, {"file", file}, {"complete", progress.complete()}, {"missing", missing}});
  if (progress.complete()) {
    RETURN_IF_ERROR(CopyToCa(options, version));
    context.Say("root " + std::to_string(version) + " has all its signatures: " + file);
  } else {
    context.Say("root " + std::to_string(version) + " wants " + missing + ":\n  tributary root sign " + file +
                " --key KEY");
  }
  return {};
}

}  // namespace tributary
