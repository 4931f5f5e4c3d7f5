#include "protocol/catalogue/module_operators.h"

#include <algorithm>
#include <set>

namespace tributary {
namespace {

using Names = std::set<std::string_view>;

// The operators that TorchScript's compiler makes of control flow, attributes, containers and casts.
const Names& AllowedPrim() {
  static const Names kNames = {"CallFunction",
                               "CallMethod",
                               "Constant",
                               "ConstantChunk",
                               "CreateObject",
                               "DictConstruct",
                               "Enter",
                               "EnumName",
                               "EnumValue",
                               "Exit",
                               "GetAttr",
                               "If",
                               "IfThenElse",
                               "ListConstruct",
                               "ListUnpack",
                               "Loop",
                               "ModuleContainerIndex",
                               "NumToTensor",
                               "RaiseException",
                               "Return",
                               "SetAttr",
                               "StringIndex",
                               "TupleConstruct",
                               "TupleIndex",
                               "TupleSlice",
                               "TupleUnpack",
                               "Uninitialized",
                               "abs",
                               "device",
                               "dtype",
                               "grad",
                               "index",
                               "is_cpu",
                               "is_cuda",
                               "is_ipu",
                               "is_meta",
                               "is_mkldnn",
                               "is_mps",
                               "is_nested",
                               "is_ort",
                               "is_quantized",
                               "is_sparse",
                               "is_sparse_csr",
                               "is_vulkan",
                               "is_xpu",
                               "isinstance",
                               "layout",
                               "max",
                               "min",
                               "name",
                               "rangelist",
                               "requires_grad",
                               "shape",
                               "tolist",
                               "type",
                               "unchecked_cast",
                               "unchecked_unwrap_optional"};
  return kNames;
}

// A leading underscore marks PyTorch's own helpers. These are what torch.nn and tracing write into a module, and they
// check their arguments.
const Names& AllowedHelpers() {
  static const Names kNames = {"_cast_Byte",
                               "_cast_Char",
                               "_cast_Double",
                               "_cast_Float",
                               "_cast_Half",
                               "_cast_Int",
                               "_cast_Long",
                               "_cast_Short",
                               "_conj",
                               "_convolution",
                               "_convolution_mode",
                               "_dim_arange",
                               "_get_tracing_state",
                               "_grad_sum_to_size",
                               "_infer_size",
                               "_list_to_tensor",
                               "_log_softmax",
                               "_masked_softmax",
                               "_native_multi_head_attention",
                               "_nested_tensor_from_mask",
                               "_nested_tensor_from_mask_left_aligned",
                               "_no_grad_embedding_renorm_",
                               "_no_grad_fill_",
                               "_no_grad_normal_",
                               "_no_grad_uniform_",
                               "_no_grad_zero_",
                               "_pack_padded_sequence",
                               "_pad_circular",
                               "_pad_enum",
                               "_pad_packed_sequence",
                               "_reshape_from_tensor",
                               "_sample_dirichlet",
                               "_scaled_dot_product_attention",
                               "_set_item",
                               "_shape_as_tensor",
                               "_size_if_not_equal",
                               "_softmax",
                               "_stack",
                               "_standard_gamma",
                               "_tensor_to_list",
                               "_transformer_encoder_layer_fwd",
                               "_trilinear",
                               "_unique",
                               "_unique2",
                               "_unwrap_optional",
                               "_upsample_bicubic2d_aa",
                               "_upsample_bilinear2d_aa",
                               "_upsample_nearest_exact1d",
                               "_upsample_nearest_exact2d",
                               "_upsample_nearest_exact3d",
                               "_weight_norm"};
  return kNames;
}

// Public names that do more than compute.
const Names& RefusedAten() {
  static const Names kNames = {"hash",  // of a tensor: its address, another one each time
                               "data",
                               "variable_data",  // change a tensor unseen by the operators that kept it for their gradient
                               "rrelu_with_noise",
                               "rrelu_with_noise_",
                               "searchsorted",  // trust sizes or places that they are given
                               "confirmed_by_owner",
                               "from_file",
                               "get_gradients",
                               "is_owner",
                               "local_value",
                               "owner",
                               "owner_name",
                               "to_here",
                               "wait",  // files, other threads, the network
                               "save",
                               "manual_seed",
                               "pin_memory",
                               "record_stream",  // files, the process, devices
                               "resize",
                               "resize_",
                               "resize_as",
                               "resize_as_",
                               "set",
                               "set_",
                               "set_data",  // a tensor's storage
                               "choose_qparams_optimized",
                               "coalesce",
                               "convolution_overrideable",
                               "hspmm",
                               "segment_reduce",
                               "smm",
                               "sspaddmm"};
  return kNames;
}

// Families of kernels for other hardware, for quantised and sparse tensors, and of derivatives, which autograd calls.
constexpr std::string_view kRefusedParts[] = {"_backward", "_mps",   "cudnn",   "fbgemm", "file",
                                              "miopen",    "mkldnn", "quantiz", "sparse", "unsafe"};
constexpr std::string_view kRefusedBeginnings[] = {"mps_", "q_"};

bool MayCallAten(std::string_view name) {
  if (name.starts_with("__")) return true;  // Python's own: __getitem__, __contains__
  if (name.starts_with('_')) return AllowedHelpers().contains(name);
  const auto inside = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  const auto begins = [&](std::string_view part) { return name.starts_with(part); };
  return !RefusedAten().contains(name) && std::ranges::none_of(kRefusedParts, inside) &&
         std::ranges::none_of(kRefusedBeginnings, begins);
}

}  // namespace

bool MayCallOperator(std::string_view name) {
  constexpr std::string_view kAten = "aten::", kPrim = "prim::";
  if (name.starts_with(kAten)) return MayCallAten(name.substr(kAten.size()));
  return name.starts_with(kPrim) && AllowedPrim().contains(name.substr(kPrim.size()));
}

}  // namespace tributary
