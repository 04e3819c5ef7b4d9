#include "train/trainer/trainer.h"

#include <cblas.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>

#include "base/file.h"
#include "train/scene/random.h"
#include "train/scene/usable.h"
#include "train/trainer/loss.h"
#include "train/trainer/read_model.h"

namespace fastvlm::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kLogHeader[] =
    "total_steps,phase,step,pictures,seconds,learning_rate,answer,tied,class,place,look,gradient_"
    "norm";

std::string ScoresHeader() {
  std::string header = "total_steps,phase,step,pictures,seconds";
  for (const Trial& trial : Trials()) header += "," + trial.name;
  return header;
}

// Keeps the lines of a CSV file whose first field is at most `last_step`, so that what a killed run
// logged after its last save is not there twice.
Status TrimLog(const std::string& path, const std::string& header, int64_t last_step) {
  std::string kept = header + "\n";
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    if (std::strtoll(line.c_str(), nullptr, 10) <= last_step && !line.empty()) kept += line + "\n";
  }
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(kept.data()), kept.size());
  return WriteFileAtomically(path, {&bytes, 1});
}

Status AppendLine(const std::string& path, const std::string& line) {
  std::ofstream file(path, std::ios::app);
  file << line << '\n';
  file.flush();
  if (!file) return Error(StatusCode::kIoError, "{}: cannot write; is the disk full?", path);
  return {};
}

// A seed for one use of randomness, from the run's.
uint64_t MixSeeds(uint64_t seed, uint64_t a, uint64_t b) {
  return Random(Random(seed ^ (a * 0x9e3779b97f4a7c15u)).Next() + b).Next();
}

SizeChoice DrawSize(const Phase& phase, uint64_t seed) {
  double total = 0;
  for (const SizeChoice& size : phase.sizes) total += size.weight;
  double at = static_cast<double>(Random(seed).Next() >> 11) * 0x1p-53 * total;
  for (const SizeChoice& size : phase.sizes) {
    if (at < size.weight) return size;
    at -= size.weight;
  }
  return phase.sizes.back();
}

double Value(const torch::Tensor& tensor) {
  return tensor.defined() ? static_cast<double>(tensor.item<float>()) : 0;
}

}  // namespace

// What one shard of a batch found.
struct Trainer::ShardResult {
  std::vector<torch::Tensor> gradients;
  std::vector<ForwardContext> contexts;
  double answer = 0, tied = 0, class_ = 0, place = 0, look = 0;
};

Trainer::Trainer(const Recipe& recipe, const Art& art, Vocabulary vocabulary,
                 const RunOptions& options)
    : recipe_(recipe),
      art_(art),
      vocabulary_(std::move(vocabulary)),
      options_(options),
      pool_(options.threads) {
  recipe_.network.vocabulary = vocabulary_.tokens();
  recipe_.network.concepts = vocabulary_.classes();
  recipe_.fingerprint += fmt::format("{} {}", recipe_.network.vocabulary, recipe_.network.concepts);
  torch::manual_seed(recipe_.seed);
  network_ = std::make_shared<Network>(recipe_.network);
  parameters_ = ParametersOf(*network_);
}

Result<std::unique_ptr<Trainer>> Trainer::Create(const Recipe& recipe, const Art& art,
                                                 const Tokenizer& tokenizer,
                                                 const RunOptions& options) {
  // The shards are what runs in parallel; libraries must not start threads of their own in them.
  at::set_num_threads(1);
  openblas_set_num_threads(1);
  FASTVLM_RETURN_IF_ERROR(CheckUsable(art, false, false));
  FASTVLM_RETURN_IF_ERROR(CheckUsable(art, true, false));  // for the scores
  FASTVLM_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(art, tokenizer));
  if (mkdir(options.directory.c_str(), 0777) != 0 && !DirectoryExists(options.directory)) {
    return Error(StatusCode::kIoError, "{}: cannot make this directory", options.directory);
  }
  std::unique_ptr<Trainer> trainer(new Trainer(recipe, art, std::move(vocabulary), options));
  if (FileExists(trainer->StatePath())) {
    FASTVLM_RETURN_IF_ERROR(trainer->Load());
  } else if (!options.from.empty()) {
    FASTVLM_RETURN_IF_ERROR(ReadModel(options.from, tokenizer, trainer->network_.get()));
    trainer->RecentreNetwork();
  }
  FASTVLM_RETURN_IF_ERROR(trainer->TrimLogs());
  return trainer;
}

Result<std::unique_ptr<Trainer>> Trainer::Open(const Recipe& recipe, const Art& art,
                                               const Tokenizer& tokenizer,
                                               const RunOptions& options) {
  FASTVLM_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(art, tokenizer));
  std::unique_ptr<Trainer> trainer(new Trainer(recipe, art, std::move(vocabulary), options));
  FASTVLM_RETURN_IF_ERROR(trainer->Load());
  return trainer;
}

Status Trainer::Load() {
  FASTVLM_RETURN_IF_ERROR(
      LoadState(StatePath(), recipe_.fingerprint, &progress_, network_.get(), &parameters_));
  const auto phases = static_cast<int64_t>(recipe_.phases.size());
  const bool known = progress_.phase >= 0 && progress_.phase <= phases && progress_.step >= 0;
  if (known &&
      (done() || progress_.step < recipe_.phases[static_cast<size_t>(progress_.phase)].steps)) {
    return {};
  }
  return Error(StatusCode::kDataError,
               "{}: the run is at step {} of phase {}, which the recipe does not have", StatePath(),
               progress_.step, progress_.phase);
}

// Measures, on pictures of the first phase, the moments of normalisations that have none yet.
void Trainer::RecentreNetwork() {
  constexpr int64_t kBatches = 8;
  FlushDenormals();
  const torch::NoGradGuard no_grad;
  const Phase& phase = recipe_.phases.front();
  std::vector<ForwardContext> contexts(kBatches);
  for (int64_t i = 0; i < kBatches; ++i) {
    ForwardContext& context = contexts[static_cast<size_t>(i)];
    context.measure = true;
    PictureLosses(phase, phase.sizes.front(), MixSeeds(recipe_.seed, 2, 0), i * phase.micro_batch,
                  context);
  }
  Recentre(contexts);
}

Status Trainer::TrimLogs() {
  FASTVLM_RETURN_IF_ERROR(
      TrimLog(options_.directory + "/log.csv", kLogHeader, progress_.total_steps));
  return TrimLog(options_.directory + "/scores.csv", ScoresHeader(), progress_.total_steps);
}

Status Trainer::Save() {
  return SaveState(StatePath(), recipe_.fingerprint, progress_, *network_, parameters_);
}

Losses Trainer::PictureLosses(const Phase& phase, const SizeChoice& size, uint64_t step_seed,
                              int64_t first, ForwardContext& context) const {
  const int cell = static_cast<int>(recipe_.network.stride());
  const auto seed_of = [&](int64_t i) {
    return MixSeeds(step_seed, 1, static_cast<uint64_t>(first + i));
  };
  if (phase.data == PhaseData::kCrops) {
    const int side = static_cast<int>(size.height);
    std::vector<Crop> crops;
    for (int64_t i = 0; i < phase.micro_batch; ++i) {
      crops.push_back(MakeCrop(art_, side, phase.text_share, false, true, seed_of(i)));
    }
    return CropLosses(*network_, MakeCropBatch(vocabulary_, crops, side), context);
  }
  SceneOptions options;
  options.height = static_cast<int>(size.height);
  options.width = static_cast<int>(size.width);
  options.cell = cell;
  options.turns = static_cast<int>(phase.turns);
  options.pad = phase.pad;
  options.layout_weights = phase.layouts;
  std::vector<Scene> scenes;
  for (int64_t i = 0; i < phase.micro_batch; ++i) {
    scenes.push_back(MakeScene(art_, options, seed_of(i)));
  }
  return SceneLosses(*network_, vocabulary_, MakeSceneBatch(vocabulary_, scenes, cell),
                     context.training, context);
}

Trainer::ShardResult Trainer::TrainShard(const Phase& phase, const SizeChoice& size,
                                         uint64_t step_seed, int64_t shard) {
  const int64_t per_shard = phase.batch / recipe_.shards;
  const int64_t micro_batches = per_shard / phase.micro_batch;
  const double share = 1.0 / static_cast<double>(recipe_.shards * micro_batches);
  const bool train_encoder = phase.encoder_factor > 0;

  std::vector<torch::Tensor> values;
  for (const Parameter& parameter : parameters_) values.push_back(parameter.value);

  FlushDenormals();
  const Bf16Products products(options_.bf16);
  ShardResult result;
  for (int64_t m = 0; m < micro_batches; ++m) {
    const int64_t first = shard * per_shard + m * phase.micro_batch;
    ForwardContext& context = result.contexts.emplace_back();
    context.training = train_encoder;
    const Losses losses = PictureLosses(phase, size, step_seed, first, context);
    torch::Tensor loss = losses.tied * phase.tied_weight + losses.class_ * phase.class_weight;
    if (losses.answer.defined()) loss = loss + losses.answer * phase.answer_weight;
    if (losses.place.defined()) loss = loss + losses.place * phase.place_weight;
    if (losses.look.defined()) loss = loss + losses.look * phase.look_weight;
    const auto gradients = torch::autograd::grad({loss * share}, values, {}, false, false, true);
    if (result.gradients.empty()) result.gradients.resize(gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      torch::Tensor& sum = result.gradients[i];
      if (!gradients[i].defined()) continue;
      if (sum.defined()) {
        sum.add_(gradients[i]);
      } else {
        sum = gradients[i].contiguous();
      }
    }
    result.answer += Value(losses.answer) * share;
    result.tied += Value(losses.tied) * share;
    result.class_ += Value(losses.class_) * share;
    result.place += Value(losses.place) * share;
    result.look += Value(losses.look) * share;
  }
  return result;
}

Result<StepReport> Trainer::Step(const Phase& phase) {
  const uint64_t step_seed = MixSeeds(recipe_.seed, static_cast<uint64_t>(progress_.phase),
                                      static_cast<uint64_t>(progress_.step));
  const SizeChoice size = DrawSize(phase, step_seed);
  std::vector<ShardResult> shards(static_cast<size_t>(recipe_.shards));
  std::vector<std::string> errors(shards.size());
  pool_.ParallelFor(recipe_.shards, [&](int64_t shard, int) {
    try {
      shards[static_cast<size_t>(shard)] = TrainShard(phase, size, step_seed, shard);
    } catch (const std::exception& error) {  // torch's own way of saying that memory ran out
      const std::string_view text = error.what();
      errors[static_cast<size_t>(shard)] = text.substr(0, text.find('\n'));  // then torch's frames
    }
  });
  for (const std::string& error : errors) {
    if (!error.empty()) {
      return Status(
          StatusCode::kResourceExhausted,
          fmt::format("step {} of '{}' at {} x {} pixels failed: {}; if memory ran out, lower "
                      "micro_batch and go on from the last saved state",
                      progress_.step + 1, phase.name, size.width, size.height, error));
    }
  }

  StepReport report;
  report.phase = &phase;
  std::vector<torch::Tensor>& sum = shards[0].gradients;
  for (size_t s = 0; s < shards.size(); ++s) {
    for (const ForwardContext& context : shards[s].contexts) UpdateRunningMoments(context);
    report.answer += shards[s].answer;
    report.tied += shards[s].tied;
    report.class_ += shards[s].class_;
    report.place += shards[s].place;
    report.look += shards[s].look;
    for (size_t i = 0; s > 0 && i < sum.size(); ++i) {
      if (sum[i].defined()) sum[i].add_(shards[s].gradients[i]);
    }
  }
  report.learning_rate = LearningRate(phase, progress_.step);
  const AdamStep adam{.step = progress_.total_steps + 1,
                      .learning_rate = report.learning_rate,
                      .encoder_factor = phase.encoder_factor,
                      .weight_decay = recipe_.weight_decay,
                      .clip = recipe_.gradient_clip};
  {
    const torch::NoGradGuard no_grad;
    report.gradient_norm = UpdateParameters(sum, adam, &parameters_, pool_);
  }
  if (!std::isfinite(report.gradient_norm)) {
    return Error(StatusCode::kDataError,
                 "the gradient of step {} of phase {} is not finite; try a lower learning_rate",
                 progress_.step, phase.name);
  }
  ++progress_.step;
  ++progress_.total_steps;
  progress_.pictures += phase.batch;
  return report;
}

Status Trainer::Score(const std::function<void(const std::vector<train::Score>&)>& scored) {
  const auto side = static_cast<int>(recipe_.network.image_size);
  const auto scores =
      MeasureScores(*network_, vocabulary_, art_, side, side, options_.score_pictures, pool_);
  const auto phase =
      std::min<size_t>(static_cast<size_t>(progress_.phase), recipe_.phases.size() - 1);
  std::string line = fmt::format("{},{},{},{},{:.1f}", progress_.total_steps,
                                 recipe_.phases[phase].name, progress_.step, progress_.pictures,
                                 static_cast<double>(progress_.milliseconds) / 1000);
  for (const train::Score& score : scores) line += fmt::format(",{:.4f}", score.share());
  scored(scores);
  return AppendLine(options_.directory + "/scores.csv", line);
}

Status Trainer::Run(const std::atomic<bool>& stop,
                    const std::function<void(const StepReport&)>& report,
                    const std::function<void(const std::vector<train::Score>&)>& scored) {
  const auto start = Clock::now();
  auto saved = start, phase_start = start;
  const Progress before = progress_;
  int64_t pictures_before_phase = progress_.pictures;
  const auto elapsed = [](Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  };
  while (!done() && !stop.load()) {
    const Phase& phase = recipe_.phases[static_cast<size_t>(progress_.phase)];
    if (options_.max_steps > 0 &&
        progress_.total_steps - before.total_steps >= options_.max_steps) {
      break;
    }
    FASTVLM_ASSIGN_OR_RETURN(StepReport step, Step(phase));
    progress_.milliseconds = before.milliseconds + static_cast<int64_t>(elapsed(start) * 1000);
    step.progress = progress_;
    step.pictures_per_second =
        static_cast<double>(progress_.pictures - pictures_before_phase) / elapsed(phase_start);
    step.seconds_left = static_cast<double>((phase.steps - progress_.step) * phase.batch) /
                        step.pictures_per_second;
    report(step);
    if (progress_.step % options_.log_every == 0) {
      FASTVLM_RETURN_IF_ERROR(AppendLine(
          options_.directory + "/log.csv",
          fmt::format("{},{},{},{},{:.1f},{:.3g},{:.4f},{:.4f},{:.4f},{:.4f},{:.4f},{:.3f}",
                      progress_.total_steps, phase.name, progress_.step, progress_.pictures,
                      static_cast<double>(progress_.milliseconds) / 1000, step.learning_rate,
                      step.answer, step.tied, step.class_, step.place, step.look,
                      step.gradient_norm)));
    }
    const bool ends = progress_.step == phase.steps;
    if (ends || (options_.score_every > 0 && progress_.step % options_.score_every == 0)) {
      FASTVLM_RETURN_IF_ERROR(Score(scored));
    }
    if (ends) {
      ++progress_.phase;
      progress_.step = 0;
      phase_start = Clock::now();
      pictures_before_phase = progress_.pictures;
    }
    if (ends || elapsed(saved) > options_.save_minutes * 60) {
      FASTVLM_RETURN_IF_ERROR(Save());
      saved = Clock::now();
    }
  }
  return Save();
}

}  // namespace fastvlm::train
