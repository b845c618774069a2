/*
 * endWithParent(pid) -> whether this process's parent is still that one. From now on the kernel kills this process when its parent
 * ends, whatever this process is busy with. It forgets that when the effective user or group of the process changes, so it is
 * to be called again after that.
 */
#include "tunwall.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

napi_value end_with_parent(napi_env env, napi_callback_info info) {
  napi_value argument, same = NULL;
  int64_t pid;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_integer(env, argument, "pid", 1, INT_MAX, &pid)) return NULL;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    throw_errno(env, "prctl", errno);
    return NULL;
  }
  /* It may have ended before. */
  napi_get_boolean(env, getppid() == (pid_t)pid, &same);
  return same;
}
