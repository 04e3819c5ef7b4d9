#include <fmt/format.h>

#include "commands.h"
#include "terminal.h"

namespace fastvlm {

CommandFn AddMissing(CLI::App& app, const std::string& build_option) {
  app.description("(this program was built without it)");
  app.prefix_command();  // whatever follows it: the answer is the same
  const std::string message = fmt::format(
      "this program was built without '{}'; build it with -D{}=ON", app.get_name(), build_option);
  return [message] {
    PrintError(message);
    return kExitFailure;
  };
}

}  // namespace fastvlm
