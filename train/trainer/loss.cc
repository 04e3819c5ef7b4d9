#include "train/trainer/loss.h"

#include <algorithm>

namespace fastvlm::train {
namespace {

// Mean over rows of -sum_j weight_j log softmax(logits)[index_j].
torch::Tensor SoftCrossEntropy(const torch::Tensor& logits, const SparseTargets& targets) {
  const torch::Tensor likelihood = torch::log_softmax(logits, -1).gather(1, targets.index);
  return -(likelihood * targets.weight).sum() / static_cast<double>(logits.size(0));
}

// logits: of all words, for each cell; places: int64 [cells, 2], 0 or 1.
torch::Tensor PlaceLoss(const torch::Tensor& logits, const std::vector<int64_t>& place_ids,
                        const torch::Tensor& places) {
  const torch::Tensor pairs =
      logits.index_select(1, torch::tensor(place_ids, torch::kInt64)).view({-1, 2, 2});
  return -torch::log_softmax(pairs, -1).gather(2, places.unsqueeze(2)).sum(1).mean();
}

// Returns the words' logits.
torch::Tensor DenseLosses(const Network& network, const torch::Tensor& features,
                          const torch::Tensor& visual, const SparseTargets& words,
                          const SparseTargets& classes, Losses* losses) {
  const torch::Tensor logits = network.decoder->Logits(visual);
  losses->tied = SoftCrossEntropy(logits, words);
  losses->class_ =
      SoftCrossEntropy(Linear(features, network.class_weight, network.class_bias), classes);
  return logits;
}

}  // namespace

Losses CropLosses(const Network& network, const CropBatch& batch, ForwardContext& context) {
  const torch::Tensor features = network.encoder->Forward(batch.images, context).mean({1, 2});
  Losses losses;
  DenseLosses(network, features, network.Project(features), batch.words, batch.classes, &losses);
  return losses;
}

Losses SceneLosses(const Network& network, const Vocabulary& vocabulary, const SceneBatch& batch,
                   bool with_encoder_gradient, ForwardContext& context,
                   std::vector<bool>* correct) {
  torch::Tensor features;
  {
    const torch::AutoGradMode mode(with_encoder_gradient && torch::GradMode::is_enabled());
    features = network.encoder->Forward(batch.images, context);
  }
  const Decoder& decoder = *network.decoder;
  const int64_t count = features.size(0), hidden = network.config.hidden;
  const int64_t cells = features.size(1) * features.size(2);
  features = features.view({count, cells, features.size(3)});
  const torch::Tensor visual = network.Project(features);

  std::vector<int64_t> prefix(vocabulary.prefix().begin(), vocabulary.prefix().end());
  const torch::Tensor prefix_ids = torch::tensor(prefix, torch::kInt64).expand({count, -1});
  const torch::Tensor x =
      torch::cat({decoder.Embed(prefix_ids), visual, decoder.Embed(batch.turn_ids)}, 1);
  // In the second layer, as the first has yet to join the words of a name.
  AttentionLook look{.layer = std::min<int64_t>(1, network.config.layers - 1),
                     .rows = batch.look_rows,
                     .scores = {}};
  const bool looks = look.rows.size(0) > 0;
  const torch::Tensor y =
      decoder.Forward(x, batch.positions, batch.segments, looks ? &look : nullptr);
  const torch::Tensor logits =
      decoder.Logits(y.reshape({-1, hidden}).index_select(0, batch.source));

  Losses losses;
  if (looks) losses.look = SoftCrossEntropy(look.scores, batch.look);
  const torch::Tensor likelihood =
      torch::log_softmax(logits, -1).gather(1, batch.target.unsqueeze(1)).squeeze(1);
  losses.answer = -(likelihood * batch.weight).sum() / batch.weight.sum();
  const torch::Tensor words =
      DenseLosses(network, features.reshape({count * cells, -1}),
                  visual.reshape({count * cells, hidden}), batch.words, batch.classes, &losses);
  losses.place = PlaceLoss(words, vocabulary.place_ids(), batch.places);
  if (correct != nullptr) {
    correct->assign(batch.tasks.size(), true);
    const torch::Tensor hit = logits.argmax(-1).eq(batch.target).contiguous();
    for (size_t i = 0; i < batch.turn_of_target.size(); ++i) {
      if (!hit.data_ptr<bool>()[i]) (*correct)[batch.turn_of_target[i]] = false;
    }
  }
  return losses;
}

}  // namespace fastvlm::train
