// Takes tensors out of checkpoint files by our names, checking name, dtype, shape and values.
#ifndef FASTVLM_CHECKPOINT_WEIGHT_READER_H_
#define FASTVLM_CHECKPOINT_WEIGHT_READER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "checkpoint/layout.h"
#include "checkpoint/tensor.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/weights.h"

namespace fastvlm {

// Errors name the file, the tensor as the file calls it, what was expected and what was found.
class WeightReader {
 public:
  // `files` must outlive the reader.
  WeightReader(const TensorFiles& files, Layout layout);

  // Of the file or index, for messages about the whole.
  const std::string& path() const { return files_.path; }
  bool Has(const std::string& name) const { return tensors_.contains(name); }

  // 1 + the largest number that follows `prefix` in our names; 0 if none does.
  int64_t CountChildren(const std::string& prefix) const;

  // One size of a tensor that has `rank` of them, at least 1 and at most 2^24; how the widths of
  // the model are found. Does not take the tensor.
  Result<int64_t> Size(const std::string& name, size_t rank, size_t axis) const;

  // A float tensor of this shape, as it lies in the file.
  Result<Tensor> Take(const std::string& name, const std::vector<int64_t>& shape);
  // The same for a copy of another one, which is no parameter of its own.
  Result<Tensor> TakeUncounted(const std::string& name, const std::vector<int64_t>& shape);
  // The values, all finite.
  Result<std::vector<float>> TakeValues(const std::string& name, const std::vector<int64_t>& shape);
  // [size] values that training counts rather than learns: not parameters.
  Result<std::vector<float>> TakeStatistic(const std::string& name, int64_t size);

  // <prefix>.weight [out, in], and <prefix>.bias [out].
  Result<LinearTensors> TakeLinear(const std::string& prefix, int64_t out, int64_t in);
  Result<LinearTensors> TakeLinearWithoutBias(const std::string& prefix, int64_t out, int64_t in);
  // <prefix>.weight [out, in, 1, 1], and <prefix>.bias [out].
  Result<LinearTensors> TakePointwise(const std::string& prefix, int64_t out, int64_t in);
  // <prefix>.weight [out, 1, kernel, kernel], returned as [kernel, kernel, out], and <prefix>.bias.
  Result<DepthwiseTensors> TakeDepthwise(const std::string& prefix, int kernel, int64_t in,
                                         int64_t out);
  Result<DepthwiseTensors> TakeDepthwiseWithoutBias(const std::string& prefix, int kernel,
                                                    int64_t in, int64_t out);

  // Elements of the parameters taken since the last call.
  int64_t TakeParameterCount() { return std::exchange(parameters_, 0); }

  // kDataError naming the tensors of the files that nothing has taken, if there are any. Those that
  // transformers ignores (IsPassedOver) are no error: one warning names them.
  Status CheckAllTaken(std::vector<std::string>* warnings) const;

  // kDataError: "<file>: tensor <name in the file>: <problem>". The tensor must exist.
  Status BadTensor(const std::string& name, std::string_view problem) const;

 private:
  struct Entry {
    const StoredTensor* stored = nullptr;
    bool taken = false;
  };

  // How the file spells one of our names.
  std::string NameInFile(const std::string& name) const;
  Result<const StoredTensor*> Find(const std::string& name) const;
  // The tensor of a quantized matrix of this shape.
  Result<Tensor> Unpacked(const std::string& name, const StoredTensor& stored,
                          const std::vector<int64_t>& shape) const;

  const TensorFiles& files_;
  Layout layout_;
  std::map<std::string, Entry> tensors_;  // by our names
  std::vector<const Tensor*> passed_over_;
  std::vector<const Tensor*> unknown_;  // no rule of the layout fits
  int64_t parameters_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_WEIGHT_READER_H_
