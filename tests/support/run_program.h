// Runs the built program as a user would and collects what it says.
#ifndef FASTVLM_TESTS_SUPPORT_RUN_PROGRAM_H_
#define FASTVLM_TESTS_SUPPORT_RUN_PROGRAM_H_

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"

namespace fastvlm {

struct ProgramResult {
  int exit_code = -1;  // 128 + the signal if one ended it
  std::string out;
  std::string err;
};

// `environment` holds NAME=value strings added to this process's own.
inline ProgramResult RunProgram(const std::vector<std::string>& arguments,
                                const std::string& input = {},
                                const std::vector<std::string>& environment = {}) {
  int in[2];
  int out[2];
  int err[2];
  FASTVLM_CHECK(pipe(in) == 0 && pipe(out) == 0 && pipe(err) == 0);
  const pid_t child = fork();
  FASTVLM_CHECK(child >= 0);
  if (child == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    for (int fd : {in[0], in[1], out[0], out[1], err[0], err[1]}) close(fd);
    for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
    std::vector<char*> argv;
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  fcntl(in[1], F_SETFL, O_NONBLOCK);

  ProgramResult result;
  size_t written = 0;
  std::array<pollfd, 3> fds = {{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {in[1], POLLOUT, 0}}};
  std::array<std::string*, 2> texts = {&result.out, &result.err};
  signal(SIGPIPE, SIG_IGN);
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (fds[2].fd >= 0 && written == input.size()) {
      close(fds[2].fd);
      fds[2].fd = -1;
    }
    poll(fds.data(), fds.size(), -1);
    for (size_t i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      std::array<char, 65536> buffer;
      const ssize_t got = read(fds[i].fd, buffer.data(), buffer.size());
      if (got > 0) {
        texts[i]->append(buffer.data(), static_cast<size_t>(got));
      } else {
        close(fds[i].fd);
        fds[i].fd = -1;
      }
    }
    if (fds[2].fd >= 0 && fds[2].revents != 0) {
      const ssize_t put = write(fds[2].fd, input.data() + written, input.size() - written);
      written = put > 0 ? written + static_cast<size_t>(put) : input.size();
    }
  }
  if (fds[2].fd >= 0) close(fds[2].fd);
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_RUN_PROGRAM_H_
