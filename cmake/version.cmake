# Writes version.cc with the version and the commit that is built:
#   cmake -DSOURCE=<dir> -DVERSION=<x.y.z> -DOUTPUT=<file.cc> -P version.cmake
# It runs in every build and leaves the file alone if neither has changed, so that nothing is compiled again.
set(COMMIT "")
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --short=7 HEAD
    OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT} --no-optional-locks -C ${SOURCE} status --porcelain --untracked-files=no
    OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    string(APPEND COMMIT " with changes")
  endif()
endif()
configure_file(${SOURCE}/src/runtime/version.cc.in ${OUTPUT} @ONLY)
