#include "image/resize.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "image/resize_filter.h"

namespace fastvlm {
namespace {

constexpr int kRowsPerTask = 32;

// Memory of one thread.
struct Scratch {
  std::vector<int16_t> planes;
  std::vector<uint8_t> row;   // [width of the result, 3], after the horizontal pass
  std::vector<int32_t> sums;  // [kRowsPerTask, width of the result, 3]
};

// Result rows [first, last): every image row they need is filtered once and added to the sums of
// the rows it belongs to. Integer sums, so the order does not matter.
void ResizeRows(const Image& image, const RowFilter& filter, const AxisWeights& vertical, int first,
                int last, Scratch& scratch, Image* result) {
  const size_t row_size = static_cast<size_t>(filter.count()) * 3;
  scratch.sums.assign(row_size * static_cast<size_t>(last - first), kResizeHalf);
  int begin = image.height;
  int end = 0;
  for (int y = first; y < last; ++y) {
    if (vertical.size[y] == 0) continue;
    begin = std::min(begin, vertical.begin[y]);
    end = std::max(end, vertical.begin[y] + vertical.size[y]);
  }
  for (int source = begin; source < end; ++source) {
    filter.Apply(&image.pixels[static_cast<size_t>(source) * image.width * 3],
                 scratch.planes.data(), scratch.row.data());
    for (int y = first; y < last; ++y) {
      const int tap = source - vertical.begin[y];
      if (tap < 0 || tap >= vertical.size[y]) continue;
      AddWeighted(scratch.row.data(),
                  vertical.weights[static_cast<size_t>(y) * vertical.taps + tap], row_size,
                  &scratch.sums[static_cast<size_t>(y - first) * row_size]);
    }
  }
  SumsToLevels(scratch.sums, &result->pixels[static_cast<size_t>(first) * row_size]);
}

}  // namespace

Image ResizeBicubic(const Image& image, const ResizeAxis& horizontal, const ResizeAxis& vertical,
                    ThreadPool* pool) {
  FASTVLM_CHECK(image.width > 0 && image.height > 0);
  // Pillow skips a pass that keeps the size; there the weights are a single 2^22, the same pixels.
  const RowFilter filter(image.width, horizontal);
  const AxisWeights columns = ComputeWeights(image.height, vertical);
  Image result;
  result.width = horizontal.count;
  result.height = vertical.count;
  result.pixels.resize(static_cast<size_t>(result.width) * result.height * 3);

  std::vector<Scratch> scratch(static_cast<size_t>(pool == nullptr ? 1 : pool->threads()));
  for (Scratch& one : scratch) {
    one.planes.resize(filter.scratch_size());
    one.row.resize(static_cast<size_t>(result.width) * 3);
  }
  const auto task = [&](int64_t index, int thread) {
    const int first = static_cast<int>(index) * kRowsPerTask;
    ResizeRows(image, filter, columns, first, std::min(first + kRowsPerTask, result.height),
               scratch[static_cast<size_t>(thread)], &result);
  };
  const int64_t tasks = (result.height + kRowsPerTask - 1) / kRowsPerTask;
  if (pool != nullptr) {
    pool->ParallelFor(tasks, task);
  } else {
    for (int64_t i = 0; i < tasks; ++i) task(i, 0);
  }
  return result;
}

}  // namespace fastvlm
