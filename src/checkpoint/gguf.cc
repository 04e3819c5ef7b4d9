#include "checkpoint/gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "base/printable.h"
#include "checkpoint/ggml_type.h"

namespace fastvlm {
namespace {

constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr int kMaxArrayDepth = 4;

// How many bytes a number of this type has; 0 for strings, arrays and unknown types.
size_t NumberBytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

template <typename T>
T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

GgufValue NumberAt(GgufType type, const uint8_t* bytes) {
  switch (type) {
    case GgufType::kUint8:
      return uint64_t{*bytes};
    case GgufType::kUint16:
      return uint64_t{Load<uint16_t>(bytes)};
    case GgufType::kUint32:
      return uint64_t{Load<uint32_t>(bytes)};
    case GgufType::kUint64:
      return Load<uint64_t>(bytes);
    case GgufType::kInt8:
      return int64_t{Load<int8_t>(bytes)};
    case GgufType::kInt16:
      return int64_t{Load<int16_t>(bytes)};
    case GgufType::kInt32:
      return int64_t{Load<int32_t>(bytes)};
    case GgufType::kInt64:
      return Load<int64_t>(bytes);
    case GgufType::kFloat32:
      return double{Load<float>(bytes)};
    case GgufType::kFloat64:
      return Load<double>(bytes);
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return *bytes != 0;
}

class Parser {
 public:
  Parser(std::span<const uint8_t> file, const std::string& path) : file_(file), path_(path) {}

  Result<Gguf> Parse() {
    gguf_.path = path_;
    uint64_t tensors = 0, values = 0;
    FASTVLM_RETURN_IF_ERROR(ReadHeader(&tensors, &values));
    for (uint64_t i = 0; i < values; ++i) FASTVLM_RETURN_IF_ERROR(ReadMetadata());
    FASTVLM_ASSIGN_OR_RETURN(
        const int64_t alignment,
        gguf_.IntegerOr("general.alignment", 1, kMaxAlignment, kDefaultAlignment));
    alignment_ = static_cast<uint64_t>(alignment);
    if (!std::has_single_bit(alignment_)) return gguf_.Wrong("general.alignment", "a power of two");
    for (uint64_t i = 0; i < tensors; ++i) FASTVLM_RETURN_IF_ERROR(ReadTensorInfo());
    FASTVLM_RETURN_IF_ERROR(PlaceTensors());
    return std::move(gguf_);
  }

 private:
  struct Place {
    uint64_t offset, bytes;
    size_t tensor;
  };

  uint64_t left() const { return file_.size() - at_; }

  Status Truncated(std::string_view what) const {
    return Error(StatusCode::kDataError,
                 "{}: {} goes beyond the end of the file, {} bytes: truncated or corrupt, fetch it "
                 "again",
                 path_, what, file_.size());
  }

  template <typename T>
  Status Read(std::string_view what, T* value) {
    if (left() < sizeof(T)) return Truncated(what);
    *value = Load<T>(file_.data() + at_);
    at_ += sizeof(T);
    return {};
  }

  Status ReadString(std::string_view what, std::string_view* text) {
    uint64_t length = 0;
    FASTVLM_RETURN_IF_ERROR(Read(what, &length));
    if (length > left()) return Truncated(what);
    *text = {reinterpret_cast<const char*>(file_.data() + at_), static_cast<size_t>(length)};
    at_ += length;
    return {};
  }

  Status ReadHeader(uint64_t* tensors, uint64_t* values) {
    if (left() < 8 || std::memcmp(file_.data(), "GGUF", 4) != 0) {
      return Error(StatusCode::kDataError, "{}: not a GGUF file: it does not begin with \"GGUF\"",
                   path_);
    }
    at_ = 4;
    FASTVLM_RETURN_IF_ERROR(Read("the version", &gguf_.version));
    if (gguf_.version != 2 && gguf_.version != 3) {
      const bool swapped = (gguf_.version & 0xffffu) == 0;
      return Error(StatusCode::kUnsupported,
                   "{}: GGUF version {}{}; versions 2 and 3 can be read, little endian", path_,
                   gguf_.version, swapped ? ", which looks like a big-endian file" : "");
    }
    FASTVLM_RETURN_IF_ERROR(Read("the header", tensors));
    FASTVLM_RETURN_IF_ERROR(Read("the header", values));
    // The shortest description of a tensor has 24 bytes, the shortest value 13.
    if (*tensors > left() / 24 || *values > left() / 13) return Truncated("the header");
    return {};
  }

  Status ReadArray(std::string_view key, int depth, GgufArray* array) {
    uint32_t type = 0;
    FASTVLM_RETURN_IF_ERROR(Read(key, &type));
    FASTVLM_RETURN_IF_ERROR(Read(key, &array->count));
    array->type = static_cast<GgufType>(type);
    if (type > static_cast<uint32_t>(GgufType::kFloat64)) return UnknownType(key, type);
    if (array->type == GgufType::kString) {
      if (array->count > left() / 8) return Truncated(key);
      array->strings.resize(static_cast<size_t>(array->count));
      for (std::string_view& text : array->strings) FASTVLM_RETURN_IF_ERROR(ReadString(key, &text));
      return {};
    }
    if (array->type == GgufType::kArray) {
      if (depth >= kMaxArrayDepth) {
        return Error(StatusCode::kUnsupported, "{}: {}: arrays nested more than {} deep", path_,
                     Printable(key), kMaxArrayDepth);
      }
      if (array->count > left() / 12) return Truncated(key);
      for (uint64_t i = 0; i < array->count; ++i) {
        GgufArray inner;
        FASTVLM_RETURN_IF_ERROR(ReadArray(key, depth + 1, &inner));
      }
      return {};
    }
    const size_t size = NumberBytes(array->type);
    if (array->count > left() / size) return Truncated(key);
    array->bytes = file_.subspan(at_, static_cast<size_t>(array->count) * size);
    at_ += array->bytes.size();
    return {};
  }

  Status UnknownType(std::string_view key, uint32_t type) const {
    return Error(StatusCode::kDataError, "{}: {}: values of unknown type {}: corrupt?", path_,
                 Printable(key), type);
  }

  Status ReadValue(std::string_view key, GgufValue* value) {
    uint32_t number = 0;
    FASTVLM_RETURN_IF_ERROR(Read(key, &number));
    if (number > static_cast<uint32_t>(GgufType::kFloat64)) return UnknownType(key, number);
    const auto type = static_cast<GgufType>(number);
    if (type == GgufType::kString) {
      std::string_view text;
      FASTVLM_RETURN_IF_ERROR(ReadString(key, &text));
      *value = text;
    } else if (type == GgufType::kArray) {
      GgufArray array;
      FASTVLM_RETURN_IF_ERROR(ReadArray(key, 1, &array));
      *value = std::move(array);
    } else {
      if (left() < NumberBytes(type)) return Truncated(key);
      *value = NumberAt(type, file_.data() + at_);
      at_ += NumberBytes(type);
    }
    return {};
  }

  Status ReadMetadata() {
    std::string_view key;
    FASTVLM_RETURN_IF_ERROR(ReadString("a metadata key", &key));
    GgufValue value;
    FASTVLM_RETURN_IF_ERROR(ReadValue(key, &value));
    if (gguf_.metadata.emplace(key, std::move(value)).second) return {};
    return Error(StatusCode::kDataError, "{}: key {} is there twice", path_, Printable(key));
  }

  // In the file the size that varies fastest comes first, in our shapes it comes last.
  Status ReadShape(const std::string& name, std::vector<int64_t>* shape) {
    uint32_t dimensions = 0;
    FASTVLM_RETURN_IF_ERROR(Read("a tensor", &dimensions));
    if (dimensions > kMaxDimensions) {
      return Error(StatusCode::kDataError, "{}: tensor {}: {} dimensions, expected at most {}",
                   path_, Printable(name), dimensions, kMaxDimensions);
    }
    shape->resize(dimensions);
    int64_t elements = 1;
    for (size_t i = dimensions; i-- > 0;) {
      uint64_t size = 0;
      FASTVLM_RETURN_IF_ERROR(Read("a tensor", &size));
      // The product of all sizes stays below 2^62, so that no later one can overflow.
      if (size == 0 || size > static_cast<uint64_t>((int64_t{1} << 59) / elements)) {
        return Error(StatusCode::kDataError, "{}: tensor {}: impossible size {}: corrupt", path_,
                     Printable(name), size);
      }
      (*shape)[i] = static_cast<int64_t>(size);
      elements *= static_cast<int64_t>(size);
    }
    return {};
  }

  Status ReadTensorInfo() {
    std::string_view name;
    FASTVLM_RETURN_IF_ERROR(ReadString("a tensor's name", &name));
    StoredTensor stored;
    stored.tensor.name = name;
    stored.tensor.file = path_;
    FASTVLM_RETURN_IF_ERROR(ReadShape(stored.tensor.name, &stored.tensor.shape));
    uint32_t type = 0;
    Place place{0, 0, gguf_.tensors.size()};
    FASTVLM_RETURN_IF_ERROR(Read("a tensor", &type));
    FASTVLM_RETURN_IF_ERROR(Read("a tensor", &place.offset));
    stored.dtype = GgmlTypeName(type);
    const std::optional<Dtype> dtype = DtypeOfGgml(type);
    stored.readable = dtype.has_value();
    if (dtype) {
      stored.tensor.dtype = *dtype;
      const int64_t values = BlockValues(*dtype);
      const std::vector<int64_t>& shape = stored.tensor.shape;
      if (values > 1 && (shape.empty() || shape.back() % values != 0)) {
        return Error(StatusCode::kDataError,
                     "{}: tensor {}: rows of {} must be a multiple of {} long, found shape {}",
                     path_, Printable(name), stored.dtype, values, ShapeText(shape));
      }
      // elements() < 2^60 and no type has more than 8 bytes an element.
      const auto elements = static_cast<uint64_t>(stored.tensor.elements());
      place.bytes =
          elements / static_cast<uint64_t>(values) * static_cast<uint64_t>(BlockBytes(*dtype));
    }
    if (!names_.insert(name).second) {
      return Error(StatusCode::kDataError, "{}: tensor {} is there twice", path_, Printable(name));
    }
    places_.push_back(place);
    gguf_.tensors.push_back(std::move(stored));
    return {};
  }

  Status BadPlace(const Place& place, std::string_view problem) const {
    return Error(StatusCode::kDataError, "{}: tensor {}: {}: truncated or corrupt, fetch it again",
                 path_, Printable(gguf_.tensors[place.tensor].tensor.name), problem);
  }

  // The data begins at the first aligned byte after the descriptions.
  Status PlaceTensors() {
    const uint64_t begin = (at_ + alignment_ - 1) / alignment_ * alignment_;
    const uint64_t size = begin < file_.size() ? file_.size() - begin : 0;
    std::sort(places_.begin(), places_.end(),
              [](const Place& a, const Place& b) { return a.offset < b.offset; });
    uint64_t used = 0;
    for (const Place& place : places_) {
      if (place.offset % alignment_ != 0) {
        return BadPlace(place, fmt::format("its data begins at {}, expected a multiple of {}",
                                           place.offset, alignment_));
      }
      if (place.offset > size || place.bytes > size - place.offset) {
        return BadPlace(place, fmt::format("its {} bytes at {} go beyond the {} of all data",
                                           place.bytes, place.offset, size));
      }
      if (place.offset < used) return BadPlace(place, "its data overlaps another tensor's");
      used = place.offset + place.bytes;
      gguf_.tensors[place.tensor].tensor.data = file_.data() + begin + place.offset;
    }
    return {};
  }

  std::span<const uint8_t> file_;
  const std::string& path_;
  uint64_t at_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  Gguf gguf_;
  std::vector<Place> places_;
  std::set<std::string_view> names_;
};

struct ValueText {
  std::string operator()(uint64_t value) const { return fmt::format("{}", value); }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::string_view value) const { return Quoted(value); }
  std::string operator()(const GgufArray& array) const {
    return fmt::format("an array of {}", array.count);
  }
};

// The value as an integer; nothing if it is none or does not fit.
std::optional<int64_t> AsInteger(const GgufValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  const auto* number = std::get_if<uint64_t>(&value);
  if (number == nullptr || *number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<double> AsNumber(const GgufValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto number = AsInteger(value)) return static_cast<double>(*number);
  return std::nullopt;
}

}  // namespace

Result<Gguf> ParseGguf(std::span<const uint8_t> file, const std::string& path) {
  return Parser(file, path).Parse();
}

const GgufValue* Gguf::Find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

Status Gguf::Wrong(std::string_view key, std::string_view expected) const {
  const GgufValue* value = Find(key);
  return Error(StatusCode::kDataError, "{}: {}: expected {}, found {}", path, Printable(key),
               expected, value == nullptr ? "nothing" : std::visit(ValueText(), *value));
}

Result<int64_t> Gguf::Integer(std::string_view key, int64_t low, int64_t high) const {
  const GgufValue* value = Find(key);
  const std::optional<int64_t> number = value == nullptr ? std::nullopt : AsInteger(*value);
  if (number && *number >= low && *number <= high) return *number;
  return Wrong(key, fmt::format("an integer from {} to {}", low, high));
}

Result<int64_t> Gguf::IntegerOr(std::string_view key, int64_t low, int64_t high,
                                int64_t absent) const {
  if (Find(key) == nullptr) return absent;
  return Integer(key, low, high);
}

Result<double> Gguf::Number(std::string_view key, double low, double high) const {
  const GgufValue* value = Find(key);
  const std::optional<double> number = value == nullptr ? std::nullopt : AsNumber(*value);
  if (number && *number >= low && *number <= high) return *number;
  return Wrong(key, fmt::format("a number from {} to {}", low, high));
}

Result<double> Gguf::PositiveOr(std::string_view key, double absent) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return absent;
  const std::optional<double> number = AsNumber(*value);
  if (number && *number > 0 && std::isfinite(*number)) return *number;
  return Wrong(key, "a number above 0");
}

Result<bool> Gguf::BoolOr(std::string_view key, bool absent) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return absent;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return Wrong(key, "true or false");
}

Result<std::string> Gguf::String(std::string_view key) const {
  const GgufValue* value = Find(key);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string_view>(value);
  if (text == nullptr) return Wrong(key, "a text");
  return std::string(*text);
}

Result<std::string> Gguf::StringOr(std::string_view key, std::string_view absent) const {
  if (Find(key) == nullptr) return std::string(absent);
  return String(key);
}

Result<const GgufArray*> Gguf::Array(std::string_view key) const {
  const GgufValue* value = Find(key);
  const auto* array = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
  if (array == nullptr) return Wrong(key, "an array");
  return array;
}

Result<std::vector<double>> Gguf::Numbers(std::string_view key) const {
  FASTVLM_ASSIGN_OR_RETURN(const GgufArray* array, Array(key));
  const size_t size = NumberBytes(array->type);
  if (size == 0 || array->type == GgufType::kBool) return Wrong(key, "an array of numbers");
  std::vector<double> numbers;
  numbers.reserve(static_cast<size_t>(array->count));
  for (size_t i = 0; i < array->bytes.size(); i += size) {
    numbers.push_back(AsNumber(NumberAt(array->type, array->bytes.data() + i)).value_or(NAN));
  }
  return numbers;
}

}  // namespace fastvlm
