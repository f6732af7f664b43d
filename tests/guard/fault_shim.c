/* Tests only: makes the k-th write, flush, rename, link, unlink or truncation below one folder go wrong.
   Loaded by LD_PRELOAD; armed from within the process by fault_arm(). Method: SQLite's "fail the n-th operation". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/types.h>

enum { FAIL = 0, SHORT = 1, CRASH = 2, FULL = 3 };
static char folder[512];
static long at, seen, fired;
static int mode, journal_fd = -1;

void fault_arm(const char *where, long k, int how) {
    snprintf(folder, sizeof folder, "%s", where);
    at = k; mode = how; seen = 0; fired = 0;
}
void fault_disarm(void) { at = 0; }
long fault_fired(void) { return fired; }
long fault_seen(void) { return seen; }
void fault_journal(int fd) { journal_fd = fd; }

static int below(const char *path) { return folder[0] && !strncmp(path, folder, strlen(folder)); }
static int below_fd(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}
/* 0: go on. Otherwise the operation must fail; for SHORT and CRASH a write may do a part of itself first. */
static int now(const char *what, const char *path) {
    if (journal_fd >= 0 && below(path)) dprintf(journal_fd, "%s %s\n", what, path);
    if (!at || !below(path)) return 0;
    seen++;
    if (mode == FULL ? seen < at : seen != at) return 0;
    if (mode == FULL && strcmp(what, "write")) return 0;
    fired++;
    return 1;
}
static int refuse(void) {
    if (mode == CRASH) kill(getpid(), SIGKILL);
    errno = mode == FULL ? ENOSPC : EIO;
    return -1;
}
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define BY_FD(what, fd) char path[512]; if (below_fd(fd, path, sizeof path) && now(what, path))

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write);
    if (fd == journal_fd) return real(fd, bytes, count);
    BY_FD("write", fd) { if (mode == SHORT || mode == CRASH) { if (real(fd, bytes, count / 2) < 0) return -1; } return refuse(); }
    return real(fd, bytes, count);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    REAL(pwrite64);
    BY_FD("write", fd) { if (mode == SHORT || mode == CRASH) { if (real(fd, bytes, count / 2, offset) < 0) return -1; } return refuse(); }
    return real(fd, bytes, count, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }
int fsync(int fd) { REAL(fsync); BY_FD("fsync", fd) return refuse(); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); BY_FD("fsync", fd) return refuse(); return real(fd); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); BY_FD("truncate", fd) return refuse(); return real(fd, size); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int rename(const char *a, const char *b) { REAL(rename); if (now("rename", b)) return refuse(); return real(a, b); }
int renameat(int x, const char *a, int y, const char *b) { REAL(renameat); if (now("rename", b)) return refuse(); return real(x, a, y, b); }
int link(const char *a, const char *b) { REAL(link); if (now("rename", b)) return refuse(); return real(a, b); }
int linkat(int x, const char *a, int y, const char *b, int f) { REAL(linkat); if (now("rename", b)) return refuse(); return real(x, a, y, b, f); }
int unlink(const char *a) { REAL(unlink); if (now("unlink", a)) return refuse(); return real(a); }
int unlinkat(int x, const char *a, int f) { REAL(unlinkat); if (now("unlink", a)) return refuse(); return real(x, a, f); }
