#include "protocol/catalogue/module_pickle.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "protocol/catalogue/module_code.h"

namespace tributary {
namespace {

// A vocabulary of a hundred thousand words needs three for each: the word, the word again for later use, its number.
constexpr size_t kValues = 1'000'000;
// LibTorch calls itself for each value in a value when it drops them. A module in a module is two.
constexpr size_t kDeepest = 500;

enum class ValueKind : uint8_t {
  kOther,  // none, a bool, a float, an object, a tensor, a device: never looked into
  kInt,
  kText,
  kTuple,
  kList,
  kDict,
  kClass,        // a class of the archive
  kMaker,        // a function that REDUCE calls
  kStorageType,  // number: the bytes of an element
  kStorage,      // number: how many elements
};

enum class PickleMaker : uint8_t { kTensor, kList, kTypeTag, kNone, kOther };

struct PickleValue {
  ValueKind kind = ValueKind::kOther;
  int64_t number = 0;
  std::string_view text = {};
  size_t first = 0, count = 0;  // a tuple's values in parts_
  size_t depth = 0;             // of values in values
  bool kept = false;            // for later use; a list is filled before
};

struct KnownGlobal {
  std::string_view module, name;
  PickleValue value;
};

PickleValue Maker(PickleMaker maker) { return {ValueKind::kMaker, static_cast<int64_t>(maker)}; }
PickleValue StorageOf(int64_t element_bytes) { return {ValueKind::kStorageType, element_bytes}; }

std::span<const KnownGlobal> KnownGlobals() {
  static const std::array kKnown = {
      KnownGlobal{"torch._utils", "_rebuild_tensor_v2", Maker(PickleMaker::kTensor)},
      KnownGlobal{"torch.jit._pickle", "build_intlist", Maker(PickleMaker::kList)},
      KnownGlobal{"torch.jit._pickle", "build_doublelist", Maker(PickleMaker::kList)},
      KnownGlobal{"torch.jit._pickle", "build_boollist", Maker(PickleMaker::kList)},
      KnownGlobal{"torch.jit._pickle", "build_tensorlist", Maker(PickleMaker::kList)},
      KnownGlobal{"torch.jit._pickle", "restore_type_tag", Maker(PickleMaker::kTypeTag)},
      KnownGlobal{"collections", "OrderedDict", Maker(PickleMaker::kNone)},
      KnownGlobal{"torch", "device", Maker(PickleMaker::kOther)},
      KnownGlobal{"builtins", "complex", Maker(PickleMaker::kOther)},
      KnownGlobal{"torch", "BoolStorage", StorageOf(1)},
      KnownGlobal{"torch", "ByteStorage", StorageOf(1)},
      KnownGlobal{"torch", "CharStorage", StorageOf(1)},
      KnownGlobal{"torch", "ShortStorage", StorageOf(2)},
      KnownGlobal{"torch", "HalfStorage", StorageOf(2)},
      KnownGlobal{"torch", "BFloat16Storage", StorageOf(2)},
      KnownGlobal{"torch", "IntStorage", StorageOf(4)},
      KnownGlobal{"torch", "FloatStorage", StorageOf(4)},
      KnownGlobal{"torch", "LongStorage", StorageOf(8)},
      KnownGlobal{"torch", "DoubleStorage", StorageOf(8)},
      KnownGlobal{"torch", "ComplexFloatStorage", StorageOf(8)},
      KnownGlobal{"torch", "ComplexDoubleStorage", StorageOf(16)},
  };
  return kKnown;
}

bool IsDottedName(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '_' || letter == '.';
  });
}

class PickleWalk {
 public:
  PickleWalk(std::string_view file, std::string_view program, const RecordSize& record_size)
      : file_(file), program_(program), record_size_(record_size) {}

  Status Run() {
    ASSIGN_OR_RETURN(const std::string_view start, Take(2));
    if (start != "\x80\x02") return Refuse("does not begin with pickle protocol 2");
    while (true) {
      ASSIGN_OR_RETURN(const std::string_view opcode, Take(1));
      if (opcode == ".") break;
      RETURN_IF_ERROR(Step(opcode.front()));
      if (stack_.size() + parts_.size() + memo_.size() > kValues) return Refuse("holds too many values");
    }
    if (stack_.size() != 1 || at_ != program_.size()) return Refuse("does not end with one value");
    return {};
  }

 private:
  tl::unexpected<Error> Refuse(std::string_view what) const {
    return Fail(Code::kModelRefused,
                "{} {} (byte {}), as torch.jit.save never writes it; nothing was loaded. Save the model again with "
                "torch.jit.script(model).save(\"model.pt\")",
                file_, what, at_);
  }

  Result<std::string_view> Take(size_t size) {
    if (size > program_.size() - at_) return Refuse("ends in the middle");
    at_ += size;
    return program_.substr(at_ - size, size);
  }
  // A little-endian number of 1 to 8 bytes; of 4 and more with its sign.
  Result<int64_t> TakeNumber(size_t size) {
    ASSIGN_OR_RETURN(const std::string_view bytes, Take(size));
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    return size == 4 ? static_cast<int32_t>(value) : static_cast<int64_t>(value);
  }
  Result<std::string_view> TakeLine() {
    const size_t end = program_.find('\n', at_);
    if (end == std::string_view::npos) return Refuse("ends in the middle");
    ASSIGN_OR_RETURN(const std::string_view line, Take(end + 1 - at_));
    return line.substr(0, line.size() - 1);
  }

  Status Push(PickleValue value) {
    if (value.depth > kDeepest) return Refuse("nests values too deeply");
    stack_.push_back(value);
    return {};
  }
  Status PushInt(Result<int64_t> number) {
    RETURN_IF_ERROR(number);
    return Push({ValueKind::kInt, *number});
  }
  // Never below what is left of the mark.
  Result<PickleValue> Pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) return Refuse("takes a value that is not there");
    const PickleValue value = stack_.back();
    stack_.pop_back();
    return value;
  }
  // How many values lie above the last mark, which is taken away.
  Result<size_t> TakeMark() {
    if (marks_.empty()) return Refuse("takes a mark that is not there");
    const size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }
  Status Store(Result<int64_t> id) {
    RETURN_IF_ERROR(id);
    const auto place = static_cast<uint32_t>(*id);
    // LibTorch would make room for every number up to this one.
    if (stack_.empty() || place > memo_.size()) return Refuse("keeps a value under an odd number");
    if (place == memo_.size()) memo_.emplace_back();
    stack_.back().kept = true;
    memo_[place] = stack_.back();
    return {};
  }
  Status Load(Result<int64_t> id) {
    RETURN_IF_ERROR(id);
    const auto place = static_cast<uint32_t>(*id);
    if (place >= memo_.size()) return Refuse("asks for a value that it did not keep");
    return Push(memo_[place]);
  }

  // Of what holds the last `count` values.
  size_t DepthAbove(size_t count) const {
    size_t depth = 0;
    for (const PickleValue& value : std::span(stack_).last(count)) depth = std::max(depth, value.depth);
    return depth + 1;
  }
  Status MakeTuple(size_t count) {
    if (count > stack_.size() - (marks_.empty() ? 0 : marks_.back())) return Refuse("takes a value that is not there");
    const PickleValue tuple{ValueKind::kTuple, 0, {}, parts_.size(), count, DepthAbove(count)};
    parts_.insert(parts_.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return Push(tuple);
  }
  // Puts what lies above the last mark into the list or dictionary below it.
  Status Fill(ValueKind kind) {
    ASSIGN_OR_RETURN(const size_t count, TakeMark());
    if (count == stack_.size() || stack_[stack_.size() - count - 1].kind != kind ||
        (kind == ValueKind::kDict && count % 2 != 0)) {
      return Refuse("fills what is no list or dictionary");
    }
    const size_t depth = DepthAbove(count);
    stack_.resize(stack_.size() - count);
    PickleValue filled = stack_.back();
    if (filled.kept) return Refuse("fills a list or dictionary that it kept before");
    stack_.pop_back();
    filled.depth = std::max(filled.depth, depth);
    return Push(filled);
  }

  Status Step(char opcode) {
    switch (static_cast<uint8_t>(opcode)) {
      case ']':
        return Push({ValueKind::kList});
      case '}':
        return Push({ValueKind::kDict});
      case ')':
        return MakeTuple(0);
      case 0x85:
        return MakeTuple(1);
      case 0x86:
        return MakeTuple(2);
      case 0x87:
        return MakeTuple(3);
      case 't': {
        ASSIGN_OR_RETURN(const size_t count, TakeMark());
        return MakeTuple(count);
      }
      case '(':
        marks_.push_back(stack_.size());
        return {};
      case 'N':
      case 0x88:
      case 0x89:
        return Push({});
      case 'K':
        return PushInt(TakeNumber(1));
      case 'M':
        return PushInt(TakeNumber(2));
      case 'J':
        return PushInt(TakeNumber(4));
      case 0x8a: {
        ASSIGN_OR_RETURN(const int64_t size, TakeNumber(1));
        if (size != 8) return Refuse("holds a number of an odd size");
        return PushInt(TakeNumber(8));
      }
      case 'G': {
        RETURN_IF_ERROR(Take(8));
        return Push({});
      }
      case 'X':
        return Text();
      case 'q':
        return Store(TakeNumber(1));
      case 'r':
        return Store(TakeNumber(4));
      case 'h':
        return Load(TakeNumber(1));
      case 'j':
        return Load(TakeNumber(4));
      case 'e':
        return Fill(ValueKind::kList);
      case 'u':
        return Fill(ValueKind::kDict);
      case 'c':
        return Global();
      case 0x81: {  // NEWOBJ: LibTorch drops the arguments and lets BUILD make the object
        ASSIGN_OR_RETURN(const PickleValue arguments, Pop());
        if (arguments.kind != ValueKind::kTuple || stack_.empty() || stack_.back().kind != ValueKind::kClass) {
          return Refuse("makes an object of what is no class");
        }
        return {};
      }
      case 'b': {
        ASSIGN_OR_RETURN(const PickleValue state, Pop());
        ASSIGN_OR_RETURN(const PickleValue type, Pop());
        if (type.kind != ValueKind::kClass) return Refuse("builds an object of what is no class");
        return Push({.depth = state.depth + 1});
      }
      case 'R':
        return Reduce();
      case 'Q':
        return Storage();
      default:
        return Refuse(
            fmt::format("has the opcode {:#04x}, which LibTorch does not know", static_cast<uint8_t>(opcode)));
    }
  }

  Status Text() {
    ASSIGN_OR_RETURN(const int64_t size, TakeNumber(4));
    ASSIGN_OR_RETURN(const std::string_view text, Take(static_cast<uint32_t>(size)));
    // A type tag is a text.
    if (text.find("torch.classes") != std::string_view::npos) return RefuseClass(text);
    return Push({ValueKind::kText, 0, text});
  }

  Status RefuseClass(std::string_view name) const {
    return Fail(
        Code::kModelRefused,
        "{} names {} (byte {}), which no model may load: only its own classes and PyTorch's tensors and lists; "
        "nothing was loaded. Take it out of the model and save it with torch.jit.script(model).save(\"model.pt\")",
        file_, name.substr(0, 200), at_);
  }

  Status Global() {
    ASSIGN_OR_RETURN(const std::string_view module, TakeLine());
    ASSIGN_OR_RETURN(const std::string_view name, TakeLine());
    for (const KnownGlobal& known : KnownGlobals()) {
      if (known.module == module && known.name == name) return Push(known.value);
    }
    const std::string whole = fmt::format("{}.{}", module, name);
    const bool own =
        IsDottedName(whole) && whole.starts_with("__torch__.") && !whole.starts_with("__torch__.torch.classes");
    if (!own) return RefuseClass(IsDottedName(whole) ? whole : "a class with an odd name");
    return Push({ValueKind::kClass});
  }

  Status Reduce() {
    ASSIGN_OR_RETURN(const PickleValue arguments, Pop());
    ASSIGN_OR_RETURN(const PickleValue maker, Pop());
    // An enumeration's value, which is no tuple.
    if (maker.kind == ValueKind::kClass) return Push({.depth = arguments.depth + 1});
    if (arguments.kind != ValueKind::kTuple) return Refuse("calls something without arguments");
    if (maker.kind != ValueKind::kMaker) return Refuse("calls what is no function");
    const auto given = std::span(parts_).subspan(arguments.first, arguments.count);
    switch (static_cast<PickleMaker>(maker.number)) {
      case PickleMaker::kTensor:
        RETURN_IF_ERROR(CheckTensor(given));
        return Push({});
      case PickleMaker::kNone:
      case PickleMaker::kOther:
        return Push({});
      case PickleMaker::kList:
        break;
      case PickleMaker::kTypeTag:
        if (given.size() < 2 || given[1].kind != ValueKind::kText) return Refuse("tags a type without its name");
        // LibTorch's parser reads it.
        RETURN_IF_ERROR(CheckModuleCode(file_, fmt::format("type : {}", given[1].text)));
    }
    if (given.empty() || (given[0].kind != ValueKind::kList && given[0].kind != ValueKind::kDict)) {
      return Refuse("tags what is no list or dictionary");
    }
    return Push(given[0]);
  }

  // ("storage", type, key, device, number of elements)
  Status Storage() {
    ASSIGN_OR_RETURN(const PickleValue tuple, Pop());
    const auto given = std::span(parts_).subspan(tuple.first, tuple.kind == ValueKind::kTuple ? tuple.count : 0);
    if (given.size() < 5 || given[0].text != "storage" || given[1].kind != ValueKind::kStorageType ||
        given[2].kind != ValueKind::kText || given[3].kind != ValueKind::kText || given[4].kind != ValueKind::kInt) {
      return Refuse("describes a storage in an odd way");
    }
    const int64_t count = given[4].number;
    const std::optional<uint64_t> size = record_size_(given[2].text);
    uint64_t wanted = 0;
    if (count < 0 ||
        __builtin_mul_overflow(static_cast<uint64_t>(count), static_cast<uint64_t>(given[1].number), &wanted) ||
        (count > 0 && wanted > size.value_or(0))) {
      return Refuse(fmt::format("says that storage {} has {} elements, and its record has {} bytes",
                                given[2].text.substr(0, 200), count, size.value_or(0)));
    }
    return Push({ValueKind::kStorage, count});
  }

  // (storage, offset, sizes, strides, requires_grad, hooks)
  Status CheckTensor(std::span<const PickleValue> given) const {
    if (given.size() < 6 || given[0].kind != ValueKind::kStorage || given[1].kind != ValueKind::kInt ||
        given[2].kind != ValueKind::kTuple || given[3].kind != ValueKind::kTuple || given[2].count != given[3].count) {
      return Refuse("describes a tensor in an odd way");
    }
    bool inside = given[1].number >= 0, empty = false;
    int64_t last = given[1].number, elements = 1;
    for (size_t i = 0; i < given[2].count && inside; ++i) {
      const PickleValue& size = parts_[given[2].first + i];
      const PickleValue& stride = parts_[given[3].first + i];
      inside = size.kind == ValueKind::kInt && stride.kind == ValueKind::kInt && size.number >= 0 && stride.number >= 0;
      if (!inside || size.number == 0) {
        empty = true;
        continue;
      }
      int64_t step = 0;
      inside = !__builtin_mul_overflow(size.number - 1, stride.number, &step) &&
               !__builtin_add_overflow(last, step, &last) && !__builtin_mul_overflow(elements, size.number, &elements);
    }
    if (inside && (empty || last < given[0].number)) return {};
    return Refuse(fmt::format("has a tensor that lies outside of its storage of {} elements", given[0].number));
  }

  std::string_view file_;
  std::string_view program_;
  const RecordSize& record_size_;
  size_t at_ = 0;
  std::vector<PickleValue> stack_, memo_, parts_;
  std::vector<size_t> marks_;
};

}  // namespace

Status CheckModulePickle(std::string_view file, std::string_view program, const RecordSize& record_size) {
  return PickleWalk(file, program, record_size).Run();
}

}  // namespace tributary
