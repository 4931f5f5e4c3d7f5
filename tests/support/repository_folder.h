#pragma once

#include "protocol/base/file.h"
#include "tests/support/test_repository.h"

namespace tributary {

// Writes a repository as the publication folder that an aggregator is configured with (config
// aggregator.publication_dir, aggregator/publish/repository_files.h). Returns `folder`.
Path WriteRepositoryFolder(const TestRepository& repository, const Path& folder);

}  // namespace tributary
