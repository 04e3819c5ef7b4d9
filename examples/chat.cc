// A conversation about a picture: chat PICTURE [MODEL]
// Each line of standard input is a question. The session keeps what was said, so that a question
// costs only its own tokens; the picture is encoded once.
#include <fastvlm/fastvlm.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

fastvlm::Result<std::shared_ptr<const fastvlm::Model>> LoadModel(const std::string& directory) {
  fastvlm::ModelOptions options;
  options.precision = fastvlm::Precision::kFastest;
  if (!directory.empty()) return fastvlm::Model::Load(directory, options);
  fastvlm::Result<std::string> bundled = fastvlm::FindBundledModel();
  if (!bundled.ok()) return bundled.status();
  return fastvlm::Model::Load(*bundled, options);
}

bool Print(std::string_view piece) {
  return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() &&
         std::fflush(stdout) == 0;
}

fastvlm::Status Chat(const std::string& picture, const std::string& directory) {
  fastvlm::Result<fastvlm::Image> image = fastvlm::Image::FromFile(picture);
  if (!image.ok()) return image.status();
  fastvlm::Result<std::shared_ptr<const fastvlm::Model>> model = LoadModel(directory);
  if (!model.ok()) return model.status();
  fastvlm::Result<fastvlm::Session> session = fastvlm::Session::Create(*model);
  if (!session.ok()) return session.status();

  fastvlm::UserTurn turn;
  turn.images.push_back(std::move(image).value());
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    turn.text = line;
    fastvlm::Result<fastvlm::Answer> answer = session->Ask(turn, {}, Print);
    if (answer.ok()) {
      turn.images.clear();  // it is a part of the conversation now
      Print("\n");
    } else if (answer.status().code() == fastvlm::StatusCode::kResourceExhausted) {
      return answer.status();  // the context is full
    } else {
      // The session is as it was before the question: the next one may do better.
      std::fprintf(stderr, "error: %s\n", answer.status().message().c_str());
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: chat PICTURE [MODEL] < QUESTIONS\n");
    return 2;
  }
  const fastvlm::Status status = Chat(argv[1], argc == 3 ? argv[2] : "");
  if (!status.ok()) std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
