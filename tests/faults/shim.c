/* Preloaded into gitckpt, git and all that they start: strikes at one of the changing calls of the whole process tree.
 *
 * FI_FILE   a file with the count of changing calls, shared by all processes: without it nothing happens
 * FI_AT     the number of the call that is struck, from 1; 0 only counts
 * FI_WHEN   instead of FI_AT: `call path`, the path as a pattern of the shell: the call after the first one that fits is
 *           struck; `call#3 path`: after the third one
 * FI_ACT    what befalls it: kill (SIGKILL to the process group), stop (SIGSTOP to the process), a number (the call
 *           fails with that errno), cut or cutlog (the power of the disks goes, then SIGKILL to the group)
 * FI_STICKY set: all later calls fail as well
 * FI_PATH   only calls on paths with this text in them count
 * FI_READS  what opens and reads files and folders with this text in their paths counts, too; without FI_PATH also
 *           what makes processes and pipes
 * FI_OPENS  set: what git opens counts among what FI_READS tells, too, where git is built to check its calls
 * FI_LOG    a file that gets a line for each call: its number, its name, its path
 * FI_MNT    where the disks are mounted whose power goes, with a colon between two
 * FI_DROP   lines as for FI_WHEN: fsync, fdatasync and syncfs calls that say they did it, and did nothing; with a
 *           number it is that one of each process, without one all of them. `sync` has no path: `sync *`
 * FI_PROC   a folder with a `boot_id` and a `stat`, which are read instead of the kernel's
 * FI_EUID   what Python takes for its effective user; the kernel does not
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/types.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* _IOR('X', 125, __u32) of linux/fs.h, and two of its values. */
#define SHUTDOWN 0x8004587DUL
#define WITH_JOURNAL 1
#define WITHOUT_FLUSH 2

#define LINES 16

enum act { FAIL, KILL, STOP, CUT, CUTLOG };

struct shared {
  uint64_t count, fitting, is_due;
};

static struct {
  int begun;
  struct shared *shared;
  uint64_t at;
  enum act act;
  int error;
  int is_sticky;
  const char *reads;
  int log;
  const char *path;
  const char *mounts;
  const char *drop;
  const char *when;
} shim = {.log = -1};

static const char *text_of(const char *name) {
  const char *text = getenv(name);
  return text && *text ? text : NULL;
}

/* Calls of our own go past ourselves, by number. A process may get the variables when it has run for a while. */
static void begin(void) {
  if (shim.begun) return;
  shim.drop = text_of("FI_DROP");
  const char *file = text_of("FI_FILE"), *at = text_of("FI_AT"), *act = text_of("FI_ACT"), *log = text_of("FI_LOG");
  shim.begun = shim.drop || file;
  if (!file) return;
  int number = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (number < 0) return;
  if (syscall(SYS_ftruncate, number, sizeof *shim.shared) == 0) {
    void *shared =
        (void *)syscall(SYS_mmap, NULL, sizeof *shim.shared, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0L);
    shim.shared = shared == MAP_FAILED ? NULL : shared;
  }
  syscall(SYS_close, number);
  shim.at = at ? strtoull(at, NULL, 10) : 0;
  shim.act = !act || !strcmp(act, "kill") ? KILL
             : !strcmp(act, "stop")       ? STOP
             : !strcmp(act, "cut")        ? CUT
             : !strcmp(act, "cutlog")     ? CUTLOG
                                          : FAIL;
  shim.error = shim.act == FAIL ? atoi(act) : 0;
  shim.is_sticky = text_of("FI_STICKY") != NULL;
  shim.reads = text_of("FI_READS");
  shim.path = text_of("FI_PATH");
  shim.mounts = text_of("FI_MNT");
  shim.when = text_of("FI_WHEN");
  if (log) shim.log = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

/* The path of what is open as `number`; empty where it has none. */
static void path_of(int number, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", number);
  long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  path[length > 0 ? length : 0] = 0;
}

/* The whole path of `name` in the open `folder`, or of what is open as `folder` where there is no name. */
static void whole_path(int folder, const char *name, char *path) {
  if (name && *name == '/') {
    snprintf(path, PATH_MAX, "%s", name);
    return;
  }
  if (folder == AT_FDCWD) {
    if (syscall(SYS_getcwd, path, PATH_MAX) < 0) *path = 0;
  } else {
    path_of(folder, path);
  }
  if (name && *name) {
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
  }
}

static void cut_power(uint32_t how) {
  char mounts[PATH_MAX];
  snprintf(mounts, sizeof mounts, "%s", shim.mounts ? shim.mounts : "");
  for (char *rest = mounts, *mount; (mount = strsep(&rest, ":"));) {
    int number = syscall(SYS_openat, AT_FDCWD, mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (number < 0 || ioctl(number, SHUTDOWN, &how) < 0) perror("no power was cut");
  }
}

_Noreturn static void end_all(void) {
  kill(0, SIGKILL);
  for (;;) pause();
}

/* Whether a line of `call#number path` fits a call; `which` is its number, 0 without one. */
static int fits(const char *line, size_t length, const char *call, const char *path, uint64_t *which) {
  char text[PATH_MAX];
  snprintf(text, sizeof text, "%.*s", (int)length, line);
  char *pattern = text, *name = strsep(&pattern, " "), *number = name;
  strsep(&number, "#");
  *which = number ? strtoull(number, NULL, 10) : 0;
  return pattern && !strcmp(name, call) && !fnmatch(pattern, path, 0);
}

/* Whether a counted call is the one that is meant. */
static int is_meant(uint64_t number, const char *call, const char *path) {
  if (shim.at && (number == shim.at || (shim.is_sticky && number > shim.at))) return 1;
  if (!shim.when) return 0;
  if (__atomic_exchange_n(&shim.shared->is_due, 0, __ATOMIC_SEQ_CST)) return 1;
  uint64_t which;
  if (fits(shim.when, strlen(shim.when), call, path, &which) &&
      __atomic_add_fetch(&shim.shared->fitting, 1, __ATOMIC_SEQ_CST) == (which ? which : 1))
    __atomic_store_n(&shim.shared->is_due, 1, __ATOMIC_SEQ_CST);
  return 0;
}

/* Count one call on `path`; 1 where it must fail, with errno set. */
static int is_due(const char *call, const char *path) {
  uint64_t number = __atomic_add_fetch(&shim.shared->count, 1, __ATOMIC_SEQ_CST);
  if (shim.log >= 0) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%llu %s %s\n", (unsigned long long)number, call, path);
    syscall(SYS_write, shim.log, line, length);
  }
  if (!is_meant(number, call, path)) return 0;
  switch (shim.act) {
    case KILL: end_all();
    case STOP: raise(SIGSTOP); return 0;
    case CUT: cut_power(WITHOUT_FLUSH); end_all();
    case CUTLOG: cut_power(WITH_JOURNAL); end_all();
    case FAIL: errno = shim.error; return 1;
  }
  return 0;
}

/* Pipes and devices are not on a disk. */
static int is_on_disk(const char *path, const char *only) {
  return *path == '/' && strncmp(path, "/dev/", 5) && (!only || strstr(path, only));
}

static int is_struck(const char *call, int folder, const char *name) {
  int before = errno;
  char path[PATH_MAX];
  begin();
  if (!shim.shared) return 0;
  whole_path(folder, name, path);
  if (is_on_disk(path, shim.path) && is_due(call, path)) return 1;
  errno = before;
  return 0;
}

/* As `is_struck`, of a call that changes nothing; with `folder` AT_FDCWD and no name, one that has no path. */
static int is_struck_reading(const char *call, int folder, const char *name) {
  int before = errno;
  char path[PATH_MAX] = "";
  begin();
  if (!shim.shared || !shim.reads) return 0;
  int has_path = folder != AT_FDCWD || name;
  if (has_path) whole_path(folder, name, path);
  int due = (has_path ? is_on_disk(path, shim.reads) : !shim.path) && is_due(call, path);
  /* No read ends with these. */
  if (due && shim.error != ENOSPC && shim.error != EROFS && shim.error != EDQUOT) return 1;
  errno = before;
  return 0;
}

/* Whether a call that makes something durable is to do nothing: one of the lines of FI_DROP fits. */
static int is_dropped(const char *call, int number) {
  static uint64_t seen[LINES];
  char path[PATH_MAX];
  begin();
  if (!shim.drop) return 0;
  path_of(number, path);
  int dropped = 0, at = 0;
  for (const char *line = shim.drop; line && at < LINES; at++) {
    const char *end = strchrnul(line, '\n');
    uint64_t which;
    if (fits(line, end - line, call, path, &which)) dropped |= ++seen[at] == which || !which;
    line = *end ? end + 1 : NULL;
  }
  return dropped;
}

#define REAL(call) \
  static __typeof__(call) *real; \
  if (!real) real = dlsym(RTLD_NEXT, #call)

int __open64_2(const char *name, int flags);

/* What is opened in place of `name`: after a cut it is another boot, for whoever asks the kernel. */
static const char *instead(const char *name) {
  static __thread char path[PATH_MAX];
  int asks = !strcmp(name, "/proc/sys/kernel/random/boot_id") || !strcmp(name, "/proc/stat");
  if (!asks || !text_of("FI_PROC")) return name;
  snprintf(path, sizeof path, "%s%s", text_of("FI_PROC"), strrchr(name, '/'));
  return path;
}

/* A changing call on a name in a folder, on an open file (`name` is NULL), or on two names, of which the new one tells. */
#define CHANGING(type, call, taken, given, folder, name) \
  type call taken { \
    REAL(call); \
    return is_struck(#call, folder, name) ? -1 : real given; \
  }

#define READING(type, call, taken, given, folder, name, refused) \
  type call taken { \
    REAL(call); \
    return is_struck_reading(#call, folder, name) ? refused : real given; \
  }

#define OPENING(call, taken, given, folder) \
  int call taken { \
    REAL(call); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list more; \
      va_start(more, flags); \
      mode = va_arg(more, mode_t); \
      va_end(more); \
    } \
    int changes = flags & (O_CREAT | O_TRUNC); \
    if ((changes ? is_struck : is_struck_reading)(#call, folder, name)) return -1; \
    name = instead(name); \
    return real given; \
  }

#define DURABLE(call, taken, given, number) \
  int call taken { \
    REAL(call); \
    if (is_struck(#call, number, NULL)) return -1; \
    return is_dropped(#call, number) ? 0 : real given; \
  }

OPENING(open, (const char *name, int flags, ...), (name, flags, mode), AT_FDCWD)
OPENING(open64, (const char *name, int flags, ...), (name, flags, mode), AT_FDCWD)
OPENING(openat, (int folder, const char *name, int flags, ...), (folder, name, flags, mode), folder)
OPENING(openat64, (int folder, const char *name, int flags, ...), (folder, name, flags, mode), folder)

int __open64_2(const char *name, int flags) {
  REAL(__open64_2);
  return text_of("FI_OPENS") && is_struck_reading("__open64_2", AT_FDCWD, name) ? -1 : real(name, flags);
}

READING(ssize_t, read, (int file, void *data, size_t size), (file, data, size), file, NULL, -1)
READING(ssize_t, pread, (int file, void *data, size_t size, off_t at), (file, data, size, at), file, NULL, -1)
READING(ssize_t, pread64, (int file, void *data, size_t size, off64_t at), (file, data, size, at), file, NULL, -1)
READING(DIR *, opendir, (const char *name), (name), AT_FDCWD, name, NULL)
READING(DIR *, fdopendir, (int file), (file), file, NULL, NULL)

/* A map of no file is memory, of which there is always some. */
#define MAPPING(call, offset) \
  void *call(void *at, size_t size, int how, int flags, int file, offset from) { \
    REAL(call); \
    return file >= 0 && is_struck_reading(#call, file, NULL) ? MAP_FAILED : real(at, size, how, flags, file, from); \
  }

MAPPING(mmap, off_t)
MAPPING(mmap64, off64_t)

READING(int, pipe, (int ends[2]), (ends), AT_FDCWD, NULL, -1)
READING(int, pipe2, (int ends[2], int flags), (ends, flags), AT_FDCWD, NULL, -1)
READING(int, socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), AT_FDCWD,
        NULL, -1)
READING(pid_t, fork, (void), (), AT_FDCWD, NULL, -1)

/* A child that shares this frame would spoil it. */
pid_t vfork(void) { return fork(); }

CHANGING(ssize_t, write, (int file, const void *data, size_t size), (file, data, size), file, NULL)
CHANGING(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at), file, NULL)
CHANGING(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at), file, NULL)
CHANGING(ssize_t, writev, (int file, const struct iovec *data, int count), (file, data, count), file, NULL)
CHANGING(ssize_t, sendfile, (int file, int from, off_t *at, size_t size), (file, from, at, size), file, NULL)
CHANGING(ssize_t, sendfile64, (int file, int from, off64_t *at, size_t size), (file, from, at, size), file, NULL)
CHANGING(ssize_t, copy_file_range, (int from, off64_t *a, int file, off64_t *b, size_t size, unsigned flags),
         (from, a, file, b, size, flags), file, NULL)
CHANGING(int, ftruncate, (int file, off_t size), (file, size), file, NULL)
CHANGING(int, ftruncate64, (int file, off64_t size), (file, size), file, NULL)
CHANGING(int, fchmod, (int file, mode_t mode), (file, mode), file, NULL)
CHANGING(int, futimens, (int file, const struct timespec times[2]), (file, times), file, NULL)

CHANGING(int, rename, (const char *old, const char *name), (old, name), AT_FDCWD, name)
CHANGING(int, renameat, (int from, const char *old, int folder, const char *name), (from, old, folder, name), folder,
         name)
CHANGING(int, renameat2, (int from, const char *old, int folder, const char *name, unsigned flags),
         (from, old, folder, name, flags), folder, name)
CHANGING(int, link, (const char *old, const char *name), (old, name), AT_FDCWD, name)
CHANGING(int, linkat, (int from, const char *old, int folder, const char *name, int flags),
         (from, old, folder, name, flags), folder, name)
CHANGING(int, symlink, (const char *target, const char *name), (target, name), AT_FDCWD, name)
CHANGING(int, symlinkat, (const char *target, int folder, const char *name), (target, folder, name), folder, name)
CHANGING(int, unlink, (const char *name), (name), AT_FDCWD, name)
CHANGING(int, unlinkat, (int folder, const char *name, int flags), (folder, name, flags), folder, name)
CHANGING(int, rmdir, (const char *name), (name), AT_FDCWD, name)
CHANGING(int, mkdir, (const char *name, mode_t mode), (name, mode), AT_FDCWD, name)
CHANGING(int, mkdirat, (int folder, const char *name, mode_t mode), (folder, name, mode), folder, name)
CHANGING(int, mkfifo, (const char *name, mode_t mode), (name, mode), AT_FDCWD, name)
CHANGING(int, mkfifoat, (int folder, const char *name, mode_t mode), (folder, name, mode), folder, name)
CHANGING(int, chmod, (const char *name, mode_t mode), (name, mode), AT_FDCWD, name)
CHANGING(int, utimensat, (int folder, const char *name, const struct timespec times[2], int flags),
         (folder, name, times, flags), folder, name)

DURABLE(fsync, (int file), (file), file)
DURABLE(fdatasync, (int file), (file), file)
DURABLE(syncfs, (int file), (file), file)

void sync(void) {
  REAL(sync);
  if (!is_struck("sync", AT_FDCWD, shim.path) && !is_dropped("sync", -1)) real();
}

/* For code that takes the superuser to need nothing. */
uid_t geteuid(void) {
  REAL(geteuid);
  int asked = text_of("FI_EUID") && !strncmp(program_invocation_short_name, "python", 6);
  return asked ? (uid_t)atoi(text_of("FI_EUID")) : real();
}
