#include "device/torch/attribute_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/jit/api/module.h>

namespace tributary {
namespace {

using c10::IValue;
using c10::Type;
using c10::TypeKind;

constexpr size_t kLongestText = 200;  // of a path or a type in a message; the file chooses both

// Objects wait in a list, so that their depth costs no stack and a cycle ends.
class AttributeWalk {
 public:
  explicit AttributeWalk(const torch::jit::Module& module) { Add(module._ivalue(), ""); }

  Status Run() {
    while (!waiting_.empty()) {
      const auto [object, path] = std::move(waiting_.back());
      waiting_.pop_back();
      RETURN_IF_ERROR(Check(*object, path));
    }
    return {};
  }

 private:
  using ObjectPtr = c10::intrusive_ptr<c10::ivalue::Object>;

  Status Check(const c10::ivalue::Object& object, const std::string& path) {
    const auto type = object.type();
    const auto& slots = object.slots();
    if (slots.size() != type->numAttributes()) {
      return Fail(Code::kModelRefused,
                  "the model's object \"{}\" has {} attributes, and its class declares {}; nothing was run. Save the module "
                  "again with torch.jit.script(m).save(…)",
                  path, slots.size(), type->numAttributes());
    }
    for (size_t i = 0; i < slots.size(); ++i) {
      path_ = path.empty() ? type->getAttributeName(i) : path + "." + type->getAttributeName(i);
      path_.resize(std::min(path_.size(), kLongestText));
      if (Fits(slots[i], *type->getAttribute(i), 0)) continue;
      return Fail(Code::kModelRefused,
                  "the model's attribute {} is declared as {}, and the file holds a value of another type ({}); nothing was "
                  "run. Save the module again with torch.jit.script(m).save(…)",
                  path_, Text(*type->getAttribute(i)), Text(*slots[i].type()));
    }
    return {};
  }

  void Add(ObjectPtr object, const std::string& path) {
    if (seen_.insert(object.get()).second) waiting_.emplace_back(std::move(object), path);
  }

  // The objects inside are only held against their class here; their attributes come later.
  bool Fits(const IValue& value, const Type& declared, int depth) {
    constexpr int kDeepest = 64;  // containers in containers
    if (depth > kDeepest) return false;
    if (declared.kind() == TypeKind::OptionalType)
      return value.isNone() || Fits(value, *declared.castRaw<c10::OptionalType>()->getElementType(), depth + 1);
    if (declared.kind() == TypeKind::UnionType) {
      return std::ranges::any_of(declared.containedTypes(),
                                 [&](const auto& member) { return Fits(value, *member, depth + 1); });
    }
    if (value.isObject()) {
      if (!value.type()->isSubtypeOf(declared)) return false;
      Add(value.toObject(), path_);
      return true;
    }
    if (!value.isList() && !value.isGenericDict() && !value.isTuple()) return value.type()->isSubtypeOf(declared);
    // One container may stand in many places, also in itself, where it does not fit.
    const auto [known, is_new] = containers_.emplace(std::pair(value.internalToPointer(), &declared), false);
    if (is_new) known->second = ContainerFits(value, declared, depth + 1);
    return known->second;
  }

  bool ContainerFits(const IValue& value, const Type& declared, int depth) {
    const bool any = declared.kind() == TypeKind::AnyType;
    if (value.isTuple()) {
      const auto& elements = value.toTupleRef().elements();
      const auto* tuple = declared.castRaw<c10::TupleType>();
      if (!any && (!tuple || tuple->elements().size() != elements.size())) return false;
      for (size_t i = 0; i < elements.size(); ++i) {
        if (!Fits(elements[i], any ? declared : *tuple->elements()[i], depth)) return false;
      }
      return true;
    }
    // Behind Any a container is used as what it says of itself.
    if (value.isList()) {
      const auto list = value.toList();
      const auto* type = declared.castRaw<c10::ListType>();
      if (!any && !type) return false;
      const auto element = any ? list.elementType() : type->getElementType();
      return std::ranges::all_of(list.vec(), [&](const IValue& inner) { return Fits(inner, *element, depth); });
    }
    const auto dict = value.toGenericDict();
    const auto* type = declared.castRaw<c10::DictType>();
    if (!any && !type) return false;
    const auto key = any ? dict.keyType() : type->getKeyType();
    const auto mapped = any ? dict.valueType() : type->getValueType();
    for (const auto& entry : dict) {
      if (!Fits(entry.key(), *key, depth) || !Fits(entry.value(), *mapped, depth)) return false;
    }
    return true;
  }

  static std::string Text(const Type& type) { return type.annotation_str().substr(0, kLongestText); }

  std::string path_;  // of the attribute that is looked at
  std::set<const c10::ivalue::Object*> seen_;
  std::vector<std::pair<ObjectPtr, std::string>> waiting_;
  std::map<std::pair<const void*, const Type*>, bool> containers_;
};

}  // namespace

Status CheckAttributes(const torch::jit::Module& module) { return AttributeWalk(module).Run(); }

}  // namespace tributary
