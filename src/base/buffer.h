// Aligned, uninitialised, move-only memory for activations, packed weights and caches.
#ifndef FASTVLM_BASE_BUFFER_H_
#define FASTVLM_BASE_BUFFER_H_

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace fastvlm {

// One cache line, and the widest vector.
inline constexpr size_t kAlignment = 64;

// At least `bytes` bytes aligned to kAlignment; aborts when the system has no memory. Pages are
// not touched before use, so a large buffer costs only what is written to.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* data, size_t bytes);

// `size` elements of a trivial type; contents start undefined.
template <typename T>
class Buffer {
  static_assert(std::is_trivial_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t size)
      : data_(size == 0 ? nullptr : static_cast<T*>(AllocateAligned(size * sizeof(T)))),
        size_(size) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) FreeAligned(data_, size_ * sizeof(T));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_BUFFER_H_
