#pragma once

#include <memory>
#include <vector>

#include "device/import/byte_source.h"
#include "device/import/example_reader.h"

namespace tributary {

// The head of NumPy's array format (numpy.lib.format, versions 1 to 3):
//   head := 0x93 "NUMPY" major minor length text{length}
//   text := "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }" and spaces
// length has 2 bytes in version 1 and 4 in the others, little endian. The values follow, little endian, in C order.
struct NpyHead {
  DType dtype = DType::kFp32;
  std::vector<uint64_t> shape;  // the first dimension is the examples
};

// kCorrupt: not such a head, or cut short. kNotSupported: objects, Fortran's order, big endian or another type; the
// message says how to save it instead. kTooLarge: over kImportBytes of values.
Result<NpyHead> ReadNpyHead(ByteSource& source);

// Arrays of a .npz, or the one of a .npy, as fields, of the names of the arrays; a file's own name for .npy. `requests`
// picks some and names them: NAME=ARRAY; empty: all. All arrays have the same first dimension.
Result<std::unique_ptr<ExampleReader>> OpenNumpy(const Path& file, const std::vector<FieldRequest>& requests);

}  // namespace tributary
