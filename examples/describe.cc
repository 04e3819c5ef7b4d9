// Describes a picture: describe PICTURE [MODEL]
// MODEL is the directory of a FastVLM checkpoint; without it, the bundled model answers.
#include <fastvlm/fastvlm.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

fastvlm::Status Describe(const std::string& picture, std::string directory) {
  if (directory.empty()) {
    fastvlm::Result<std::string> bundled = fastvlm::FindBundledModel();
    if (!bundled.ok()) return bundled.status();
    directory = *bundled;
  }
  fastvlm::ModelOptions options;
  options.precision = fastvlm::Precision::kFastest;  // as the program chooses it
  fastvlm::Result<std::shared_ptr<const fastvlm::Model>> model =
      fastvlm::Model::Load(directory, options);
  if (!model.ok()) return model.status();
  fastvlm::Result<fastvlm::Session> session = fastvlm::Session::Create(*model);
  if (!session.ok()) return session.status();

  fastvlm::Result<fastvlm::Image> image = fastvlm::Image::FromFile(picture);
  if (!image.ok()) return image.status();
  fastvlm::UserTurn turn;
  turn.text = "Describe the image.";
  turn.images.push_back(std::move(image).value());

  // Called with each piece of the answer; false would end it.
  const auto print = [](std::string_view piece) {
    return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size();
  };
  fastvlm::Result<fastvlm::Answer> answer = session->Ask(turn, {}, print);
  if (!answer.ok()) return answer.status();
  std::printf("\n");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: describe PICTURE [MODEL]\n");
    return 2;
  }
  const fastvlm::Status status = Describe(argv[1], argc == 3 ? argv[2] : "");
  if (!status.ok()) std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
