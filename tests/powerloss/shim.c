/* Keeps beside a folder what a power loss would leave of it. Loaded with LD_PRELOAD into the process under test.
 *
 *   POWERLOSS_DIR=FOLDER POWERLOSS_SHADOW=FOLDER LD_PRELOAD=shim.so PROGRAM
 *
 * A file's bytes are durable once it was synced, and a name once its folder was. So nothing but syncs need be seen: a sync
 * of a file copies its bytes as they are at that moment, a sync of a folder the list of its names. The disk itself is not
 * asked. disk.py makes the folder from the shadow when the power is lost.
 *
 *   files/ID   bytes as they were synced last           ID: inode and time of birth, for inodes are used again
 *   dirs/ID    names as they were synced last, a line each: kind, ID, length, name (file systems with a journal keep the
 *              length with the name, also of a file that was never synced)
 *   lost/ID    bytes as they were when a sync failed, and lostmap/ID which of its pages the system then took for clean
 *   fail       a text: the next sync of a file whose path contains it fails, and removes this file
 *
 * POWERLOSS_IGNORE=TEXT plants a fault: syncs are answered but not carried out where the text is part of "f:/path" (a file) or
 * "d:/path" (a folder, with a slash at its end), below POWERLOSS_DIR.
 *
 * After a failed sync Linux takes the pages for clean: reads show them, later syncs pass them over, until they are written
 * again. Writes are seen for that only.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 64 * PAGE, ID_SIZE = 64 };

static char root[PATH_MAX], shadow[PATH_MAX];
static size_t root_length;
static int lost_pages; /* whether a sync ever failed: only then are writes looked at */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The rig is of no use once it cannot keep its books: say so and end, instead of passing over a sync. */
static void give_up(const char *what) {
  fprintf(stderr, "powerloss shim: failed to %s: %s\n", what, strerror(errno));
  _exit(97);
}

static void name_in_shadow(char *out, const char *kind, const char *id) {
  if (snprintf(out, PATH_MAX, "%s/%s/%s", shadow, kind, id) >= PATH_MAX) give_up("name a file of the shadow");
}

__attribute__((constructor)) static void start(void) {
  const char *dir = getenv("POWERLOSS_DIR"), *to = getenv("POWERLOSS_SHADOW");
  char path[PATH_MAX];
  if (!dir || !to) return;
  if (!realpath(dir, root) || !realpath(to, shadow)) give_up("find POWERLOSS_DIR and POWERLOSS_SHADOW");
  root_length = strlen(root);
  name_in_shadow(path, "lostmap", "");
  DIR *d = opendir(path);
  if (!d) give_up("read the shadow");
  for (struct dirent *e; (e = readdir(d));) lost_pages |= e->d_name[0] != '.';
  closedir(d);
}

/* The path of an open file below the root, or 0 for all others. */
static int tracked(int fd, char *path) {
  char link[64];
  if (!root_length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int identify(int dir, const char *name, char *id, struct statx *found) {
  struct statx x;
  int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
  if (statx(dir, name, flags, STATX_INO | STATX_TYPE | STATX_SIZE | STATX_BTIME, &x)) return -1;
  if (!(x.stx_mask & STATX_BTIME)) {
    errno = ENOTSUP;
    give_up("learn when a file was made; use another file system");
  }
  snprintf(id, ID_SIZE, "%llx-%llx.%x", (unsigned long long)x.stx_ino, (unsigned long long)x.stx_btime.tv_sec, x.stx_btime.tv_nsec);
  if (found) *found = x;
  return 0;
}

static int open_in_shadow(const char *kind, const char *id, int flags) {
  char path[PATH_MAX];
  name_in_shadow(path, kind, id);
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0 && errno != ENOENT) give_up("open a file of the shadow");
  return fd;
}

static int open_again(int fd, int flags) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int again = open(link, flags | O_CLOEXEC);
  if (again < 0) give_up("open a synced file for reading");
  return again;
}

static void put(int fd, const void *bytes, size_t n, off_t at) {
  while (n) {
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, n, at);
    if (done <= 0) give_up("write to the shadow");
    bytes = (const char *)bytes + done;
    n -= done;
    at += done;
  }
}

static size_t get(int fd, char *bytes, off_t at) {
  size_t n = 0;
  while (n < CHUNK) {
    ssize_t done = pread(fd, bytes + n, CHUNK - n, at + n);
    if (done < 0) give_up("read a file");
    if (!done) break;
    n += done;
  }
  memset(bytes + n, 0, CHUNK - n);
  return n;
}

/* Whether the page was left clean by a failed sync and has not changed since; a page that changed is dirty again. */
static int is_lost(int map, int kept, off_t at, const char *now) {
  char mark = 0, then[PAGE] = {0};
  if (pread(map, &mark, 1, at / PAGE) < 1 || !mark) return 0;
  if (pread(kept, then, PAGE, at) < 0) give_up("read the shadow");
  if (!memcmp(then, now, PAGE)) return 1;
  put(map, "", 1, at / PAGE);
  return 0;
}

static void copy_page(int to, const char *now, off_t at, size_t left, int map, int kept) {
  if (map >= 0 && is_lost(map, kept, at, now)) return;
  put(to, now, left < PAGE ? left : PAGE, at);
}

/* Makes the file's bytes durable, all but lost pages. */
static void copy_file(int from, const char *id) {
  static char now[CHUNK], old[CHUNK];
  int to = open_in_shadow("files", id, O_RDWR | O_CREAT);
  int map = lost_pages ? open_in_shadow("lostmap", id, O_RDWR) : -1, kept = map < 0 ? -1 : open_in_shadow("lost", id, O_RDONLY);
  off_t at = 0;
  for (size_t n; (n = get(from, now, at)); at += n) {
    get(to, old, at);
    for (size_t p = 0; p < n; p += PAGE)
      if (memcmp(now + p, old + p, PAGE)) copy_page(to, now + p, at + p, n - p, map, kept);
    if (n < CHUNK) {
      at += n;
      break;
    }
  }
  if (ftruncate(to, at)) give_up("set a length in the shadow");
  close(to);
  if (map >= 0) close(map), close(kept);
}

/* The sync failed: what it should have made durable is lost, though reads show it. */
static void lose_file(int from, const char *id) {
  static char now[CHUNK], old[CHUNK];
  int durable = open_in_shadow("files", id, O_RDONLY);
  int kept = open_in_shadow("lost", id, O_RDWR | O_CREAT), map = open_in_shadow("lostmap", id, O_RDWR | O_CREAT);
  off_t at = 0;
  memset(old, 0, sizeof old);
  for (size_t n; (n = get(from, now, at)); at += n) {
    if (durable >= 0) get(durable, old, at);
    for (size_t p = 0; p < n; p += PAGE) {
      if (!memcmp(now + p, old + p, PAGE)) continue;
      put(kept, now + p, PAGE, at + p);
      put(map, "\1", 1, (at + p) / PAGE);
    }
    if (n < CHUNK) break;
  }
  if (durable >= 0) close(durable);
  close(kept), close(map);
  lost_pages = 1;
}

/* Makes the folder's names durable. */
static void copy_names(int fd, const char *id) {
  char path[PATH_MAX], temporary[PATH_MAX], child[ID_SIZE];
  struct statx x;
  name_in_shadow(path, "dirs", id);
  name_in_shadow(temporary, "dirs", "new");
  FILE *out = fopen(temporary, "w");
  DIR *d = fdopendir(open_again(fd, O_RDONLY | O_DIRECTORY));
  if (!out || !d) give_up("list a folder");
  for (struct dirent *e; (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (identify(dirfd(d), e->d_name, child, &x)) {
      if (errno == ENOENT) continue; /* removed meanwhile */
      give_up("look at a file");
    }
    int folder = S_ISDIR(x.stx_mode);
    fprintf(out, "%c %s %llu %s\n", folder ? 'd' : 'f', child, folder ? 0ULL : (unsigned long long)x.stx_size, e->d_name);
  }
  closedir(d);
  if (fclose(out) || rename(temporary, path)) give_up("write to the shadow");
}

/* Whether this sync is the one that has to fail. */
static int fails(const char *path) {
  char name[PATH_MAX], word[256] = "";
  name_in_shadow(name, "fail", "");
  name[strlen(name) - 1] = 0;
  FILE *in = fopen(name, "r");
  if (!in) return 0;
  int hit = fgets(word, sizeof word, in) && strstr(path + root_length, word);
  fclose(in);
  return hit && !unlink(name);
}

static int ignored(const char *path, int folder) {
  char name[PATH_MAX + 4];
  const char *word = getenv("POWERLOSS_IGNORE");
  if (!word || !*word) return 0;
  snprintf(name, sizeof name, "%c:%s%s", folder ? 'd' : 'f', path + root_length, folder ? "/" : "");
  return strstr(name, word) != NULL;
}

static int sync_shadow(int fd, const char *path) {
  char id[ID_SIZE];
  struct statx x;
  int failed = 0;
  pthread_mutex_lock(&lock);
  if (identify(fd, "", id, &x)) give_up("look at a synced file");
  if (ignored(path, S_ISDIR(x.stx_mode))) {
    /* said, not done */
  } else if (S_ISDIR(x.stx_mode)) {
    copy_names(fd, id);
  } else {
    int from = open_again(fd, O_RDONLY);
    failed = fails(path);
    if (failed)
      lose_file(from, id);
    else
      copy_file(from, id);
    close(from);
  }
  pthread_mutex_unlock(&lock);
  if (failed) errno = EIO;
  return failed ? -1 : 0;
}

int fsync(int fd) {
  char path[PATH_MAX];
  return tracked(fd, path) ? sync_shadow(fd, path) : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
  char path[PATH_MAX];
  return tracked(fd, path) ? sync_shadow(fd, path) : (int)syscall(SYS_fdatasync, fd);
}

/* Pages that are written again are dirty again. At -1: where the file's own position was before `n` bytes were written. */
static ssize_t written(int fd, ssize_t n, off_t at) {
  char path[PATH_MAX], id[ID_SIZE];
  int error = errno;
  if (n > 0 && lost_pages && tracked(fd, path) && !identify(fd, "", id, NULL)) {
    pthread_mutex_lock(&lock);
    int map = open_in_shadow("lostmap", id, O_RDWR);
    if (at < 0) at = lseek(fd, 0, SEEK_CUR) - n;
    char mark;
    for (off_t page = at / PAGE; map >= 0 && page <= (at + n - 1) / PAGE; page++)
      if (pread(map, &mark, 1, page) == 1 && mark) put(map, "", 1, page);
    if (map >= 0) close(map);
    pthread_mutex_unlock(&lock);
  }
  errno = error;
  return n;
}

ssize_t write(int fd, const void *b, size_t n) { return written(fd, syscall(SYS_write, fd, b, n), -1); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) { return written(fd, syscall(SYS_pwrite64, fd, b, n, at), at); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t at) { return written(fd, syscall(SYS_pwrite64, fd, b, n, at), at); }
ssize_t writev(int fd, const struct iovec *v, int n) { return written(fd, syscall(SYS_writev, fd, v, n), -1); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return written(fd, syscall(SYS_pwritev, fd, v, n, at, at >> 32), at); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) { return written(fd, syscall(SYS_pwritev, fd, v, n, at, at >> 32), at); }
