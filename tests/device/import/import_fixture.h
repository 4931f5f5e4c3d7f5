#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/import/example_reader.h"
#include "tests/device/examples/collection_fixture.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// Files in a folder, and a store to import them into.
class ImportFixture : public testing::Test {
 protected:
  Path Write(const std::string& name, ByteView bytes) {
    Must(RealFileSystem().CreateFolders((folder / name).parent_path()));
    Must(WriteFileAtomically(RealFileSystem(), folder / name, bytes));
    return folder / name;
  }
  Path Write(const std::string& name, std::string_view text) { return Write(name, AsBytes(text)); }
  Path WriteWithPython(const std::string& name, const std::string& script) {
    Write("script.py", "import sys, numpy as np\nout = sys.argv[1]\n" + script);
    const std::string command = "/usr/bin/python3 " + (folder / "script.py").string() + " " + (folder / name).string();
    TRIBUTARY_CHECK(std::system(command.c_str()) == 0) << command;
    return folder / name;
  }

  // Imports all of it into the collection "c", which has its fields; nothing of it on an error.
  Status Import(Result<std::unique_ptr<ExampleReader>> reader, bool keep_good = false) {
    if (!reader) return Fail(reader.error());
    RETURN_IF_ERROR(store->Create({.name = "c", .fields = (*reader)->fields(), .held_out_share = 0}, kCollectionStart));
    ASSIGN_OR_RETURN(ExampleWriter writer, store->Write("c", kCollectionStart));
    ExampleSink sink(writer, keep_good);
    RETURN_IF_ERROR((*reader)->Read(sink));
    left_out = sink.left_out();
    return writer.Commit();
  }
  template <class T>
  std::vector<T> Values(const std::string& field, const std::vector<std::string>& texts = {}) {
    const std::vector<std::string> fields = {field};
    return ValuesOf<T>(Must(store->Load("c", fields, kCollectionStart, {{field, texts}})), field);
  }
  uint64_t Count() {
    const auto info = store->Find("c");
    return info ? info->examples : 0;
  }

  TemporaryFolder folder;
  std::unique_ptr<CollectionStore> store = Must(CollectionStore::Open(folder.path()));
  uint64_t left_out = 0;
};

}  // namespace tributary
