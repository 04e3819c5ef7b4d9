#include "fastvlm/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/cpu_features.h"
#include "base/file.h"
#include "base/json.h"
#include "base/out_of_memory.h"
#include "base/thread_pool.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_pair.h"
#include "convert/calibrate.h"
#include "convert/quantize_plan.h"
#include "runtime/load_vocabulary.h"

namespace fastvlm {
namespace {

constexpr int kMaxThreads = 256;
constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
constexpr int64_t kBatchBytes = int64_t{8} << 20;  // of output that is encoded at once

// The chat template of text/chat_prompt.h, for programs that read it from the file.
constexpr char kChatTemplate[] =
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";

Result<std::string> ReadChatTemplate(const Checkpoint& checkpoint, const std::string& directory) {
  if (checkpoint.tokenizer()) {
    const std::string_view stored = checkpoint.tokenizer()->chat_template;
    return std::string(stored.empty() ? kChatTemplate : stored);
  }
  const std::string own = directory + "/chat_template.jinja";
  if (PathExists(own)) return ReadTextFile(own, kMaxTemplateBytes);
  const std::string config = directory + "/tokenizer_config.json";
  if (PathExists(config)) {
    FASTVLM_ASSIGN_OR_RETURN(const nlohmann::json object,
                             ReadJsonObject(config, kMaxVocabularyBytes));
    const nlohmann::json* text = FindMember(object, "chat_template");
    if (text != nullptr && text->is_string()) return text->get<std::string>();
  }
  return std::string(kChatTemplate);
}

// One of the two files, from the plan to the disk.
class Output {
 public:
  Output(std::string path, std::vector<PlannedTensor> tensors)
      : path_(std::move(path)), tensors_(std::move(tensors)) {
    for (const PlannedTensor& tensor : tensors_) {
      writer_.AddTensor(tensor.name, tensor.dtype, tensor.shape);
    }
  }

  const std::string& path() const { return path_; }
  GgufWriter& writer() { return writer_; }
  int64_t bytes() const { return writer_.file_bytes(); }

  Status Create() {
    FASTVLM_ASSIGN_OR_RETURN(file_, FileReplacement::Create(path_, bytes()));
    return writer_.Start(&file_);
  }

  // on_bytes is called with the number of bytes that were just written; returning false cancels.
  Status Write(ThreadPool& pool, const std::function<bool(int64_t)>& on_bytes) {
    for (const PlannedTensor& tensor : tensors_) {
      FASTVLM_RETURN_IF_ERROR(WriteTensor(tensor, pool, on_bytes));
    }
    return {};
  }

  Status Sync() { return file_.Sync(); }
  Status Commit() { return file_.Commit(); }
  // Where the file is before Commit; see FileReplacement.
  std::string temporary_path() const { return path_ + ".part"; }

 private:
  Status WriteTensor(const PlannedTensor& tensor, ThreadPool& pool,
                     const std::function<bool(int64_t)>& on_bytes) {
    const int64_t row_bytes = tensor.row_bytes();
    const int64_t batch = std::max<int64_t>(1, kBatchBytes / row_bytes);
    std::vector<uint8_t> out;
    for (int64_t first = 0; first < tensor.rows; first += batch) {
      const int64_t rows = std::min(batch, tensor.rows - first);
      out.resize(static_cast<size_t>(rows * row_bytes));
      std::vector<uint8_t> fits(static_cast<size_t>(rows));
      pool.ParallelFor(rows, [&](int64_t i, int) {
        fits[static_cast<size_t>(i)] = Encode(tensor, first + i, out.data() + i * row_bytes);
      });
      if (std::find(fits.begin(), fits.end(), 0) != fits.end()) {
        return Error(StatusCode::kDataError,
                     "tensor {} has a weight that is not finite in the type it is to be written "
                     "with; BF16 has the range of F32",
                     tensor.name);
      }
      FASTVLM_RETURN_IF_ERROR(writer_.WriteData(out));
      if (tensor.source != nullptr && tensor.source->affine == std::nullopt) {
        ReleaseMappedPages(tensor.source->data + first * tensor.source->row_bytes(),
                           static_cast<size_t>(rows * tensor.source->row_bytes()));
      }
      if (!on_bytes(rows * row_bytes)) {
        return Error(StatusCode::kCancelled, "{}: cancelled, nothing was written", path_);
      }
    }
    return {};
  }

  // Writes a row to `out`. False if a value is not finite in the type of the file.
  static bool Encode(const PlannedTensor& tensor, int64_t row, uint8_t* out) {
    if (tensor.source != nullptr && tensor.source->dtype == tensor.dtype) {
      std::memcpy(out, tensor.source->data + row * tensor.source->row_bytes(),
                  static_cast<size_t>(tensor.row_bytes()));
      return true;
    }
    std::vector<float> copy;
    const float* values = tensor.values.data();
    if (tensor.source != nullptr) {
      copy.resize(static_cast<size_t>(tensor.k));
      tensor.source->CopyToF32(row * tensor.k, tensor.k, copy.data());
      values = copy.data();
    }
    const float limit = tensor.dtype == Dtype::kF16 ? 65504.0f : 3.3895e38f;
    EncodeRow(tensor.dtype, values, tensor.k, out);
    return std::all_of(values, values + tensor.k,
                       [limit](float value) { return std::fabs(value) <= limit; });
  }

  std::string path_;
  std::vector<PlannedTensor> tensors_;
  GgufWriter writer_;
  FileReplacement file_;
};

// The directory to write into. If it was made here and stays empty, it is removed again.
class OutputDirectory {
 public:
  explicit OutputDirectory(std::string path) : path_(std::move(path)) {}
  ~OutputDirectory() {
    std::error_code ignored;
    if (made_) std::filesystem::remove(path_, ignored);
  }
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  Status Prepare(bool overwrite) {
    std::error_code error;
    made_ = std::filesystem::create_directories(path_, error);
    if (error) {
      return Error(StatusCode::kIoError, "{}: cannot create the directory: {}", path_,
                   error.message());
    }
    // What an earlier run was ended in the middle of is not lost, should this one be, too.
    FASTVLM_RETURN_IF_ERROR(FinishInterrupted(path_));
    for (const char* name : {kModelGguf, kVisionGguf}) {
      if (overwrite || !PathExists(Path(name))) continue;
      return Error(StatusCode::kInvalidArgument,
                   "{}: exists already; name another directory, or set overwrite to replace it",
                   Path(name));
    }
    return {};
  }

  std::string Path(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  bool made_ = false;
};

// "FastVLM-0.5B" of "/models/FastVLM-0.5B/".
std::string NameOf(const std::string& source) {
  std::error_code error;
  const auto path = std::filesystem::weakly_canonical(source, error);
  const std::string name = error ? "" : path.filename().string();
  return name.empty() ? "FastVLM" : name;
}

WeightFormat EncoderFormat(const QuantizeOptions& options) {
  return options.encoder.value_or(options.type == WeightFormat::kQ4 ? WeightFormat::kQ8
                                                                    : options.type);
}

Status CheckOptions(const QuantizeOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return Error(StatusCode::kInvalidArgument, "threads is {}, expected 0 (automatic) to {}",
                 options.threads, kMaxThreads);
  }
  if (options.calibrate.empty()) return {};
  if (!(options.target > 0 && options.target <= 1)) {
    return Error(StatusCode::kInvalidArgument,
                 "target is {}, expected a cosine above 0 and up to 1", options.target);
  }
  if (EncoderFormat(options) != WeightFormat::kQ8) {
    return Error(StatusCode::kInvalidArgument,
                 "calibrating decides which matrices of the image encoder are q8, but it is to be "
                 "written in another type; set encoder to q8, or leave out calibrate");
  }
  return CheckIsaEnvironment();
}

CalibrateProgressFn StepProgress(const QuantizeProgressFn& progress, QuantizeStep step) {
  return [&progress, step](double fraction) { return !progress || progress(step, fraction); };
}

// A checkpoint on its way into two files.
class Quantizer {
 public:
  Quantizer(const Checkpoint& checkpoint, const QuantizeOptions& options,
            const QuantizeProgressFn& progress)
      : checkpoint_(checkpoint),
        options_(options),
        progress_(progress),
        pool_(options.threads == 0 ? PhysicalCoreCount() : options.threads) {}

  Status Calibrate() {
    if (options_.calibrate.empty()) return {};
    FASTVLM_ASSIGN_OR_RETURN(
        pictures_, LoadCalibrationPictures(options_.calibrate, checkpoint_.config().vision, pool_));
    FASTVLM_ASSIGN_OR_RETURN(
        calibration_, fastvlm::Calibrate(checkpoint_, options_.target, &pictures_, pool_,
                                         StepProgress(progress_, QuantizeStep::kCalibrating)));
    return {};
  }

  Result<QuantizeReport> Write(const OutputDirectory& directory, const Vocabulary& vocabulary,
                               const std::string& name, const std::string& chat_template) {
    const WeightFormat encoder = EncoderFormat(options_);
    const Calibration* calibration = calibration_ ? &*calibration_ : nullptr;
    Output vision(directory.Path(kVisionGguf), PlanVision(checkpoint_, encoder, calibration));
    SetVisionMetadata(checkpoint_, name, encoder, calibration, &vision.writer());
    Output decoder(directory.Path(kModelGguf), PlanDecoder(checkpoint_, options_.type));
    FASTVLM_RETURN_IF_ERROR(SetDecoderMetadata(checkpoint_, vocabulary, name, chat_template,
                                               options_.type, &decoder.writer()));
    const std::string id = NewPairId();
    vision.writer().SetString(kPairIdKey, id);
    decoder.writer().SetString(kPairIdKey, id);
    // Both files get their room on the disk now, so that a disk without room for the second one is
    // found out before the work begins.
    FASTVLM_RETURN_IF_ERROR(vision.Create());
    FASTVLM_RETURN_IF_ERROR(decoder.Create());
    FASTVLM_RETURN_IF_ERROR(WriteBoth(vision, decoder));
    FASTVLM_RETURN_IF_ERROR(Check(vision, decoder));
    // Large files take seconds to reach the disk. Both get there before either takes its name, so
    // that a new file stands beside an old one for a moment only.
    FASTVLM_RETURN_IF_ERROR(vision.Sync());
    FASTVLM_RETURN_IF_ERROR(decoder.Sync());
    // Between the two, the new pair is mmproj.gguf and model.gguf.part, which gguf_pair.h finds.
    FASTVLM_RETURN_IF_ERROR(vision.Commit());
    FASTVLM_RETURN_IF_ERROR(decoder.Commit());
    QuantizeReport report;
    report.files = {{decoder.path(), decoder.bytes()}, {vision.path(), vision.bytes()}};
    report.source_bytes = checkpoint_.config().file_bytes;
    report.calibration = calibration_;
    report.warnings = checkpoint_.warnings();
    return report;
  }

 private:
  Status WriteBoth(Output& vision, Output& decoder) {
    const auto total = static_cast<double>(vision.bytes() + decoder.bytes());
    int64_t done = 0;
    const auto on_bytes = [&](int64_t bytes) {
      done += bytes;
      return !progress_ ||
             progress_(QuantizeStep::kWriting, std::min(1.0, static_cast<double>(done) / total));
    };
    FASTVLM_RETURN_IF_ERROR(vision.Write(pool_, on_bytes));
    return decoder.Write(pool_, on_bytes);
  }

  // Measures again on what is in the files, so that the report is true of them.
  Status Check(const Output& vision, const Output& decoder) {
    if (!calibration_) return {};
    FASTVLM_ASSIGN_OR_RETURN(
        const Checkpoint written,
        Checkpoint::OpenGguf({decoder.temporary_path(), vision.temporary_path()}));
    return CheckCalibration(written, *calibration_, pictures_, pool_,
                            StepProgress(progress_, QuantizeStep::kChecking));
  }

  const Checkpoint& checkpoint_;
  const QuantizeOptions& options_;
  const QuantizeProgressFn& progress_;
  ThreadPool pool_;
  std::vector<CalibrationPicture> pictures_;
  std::optional<Calibration> calibration_;
};

Result<QuantizeReport> Quantize(const std::string& source, const std::string& directory,
                                const QuantizeOptions& options,
                                const QuantizeProgressFn& progress) {
  FASTVLM_RETURN_IF_ERROR(CheckOptions(options));
  FASTVLM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                           Checkpoint::Open(source, options.vision_directory));
  FASTVLM_ASSIGN_OR_RETURN(const Vocabulary vocabulary, LoadVocabulary(checkpoint, source));
  FASTVLM_ASSIGN_OR_RETURN(const std::string chat, ReadChatTemplate(checkpoint, source));
  OutputDirectory output(directory);
  FASTVLM_RETURN_IF_ERROR(output.Prepare(options.overwrite));
  Quantizer quantizer(checkpoint, options, progress);
  FASTVLM_RETURN_IF_ERROR(quantizer.Calibrate());
  return quantizer.Write(output, vocabulary, NameOf(source), chat);
}

}  // namespace

Result<QuantizeReport> QuantizeModel(const std::string& source, const std::string& directory,
                                     const QuantizeOptions& options,
                                     const QuantizeProgressFn& progress) {
  const MemoryUse use = {"quantizing the model", "calibrate on fewer pictures or on none", source};
  return CatchOutOfMemory(use, [&] { return Quantize(source, directory, options, progress); });
}

}  // namespace fastvlm
