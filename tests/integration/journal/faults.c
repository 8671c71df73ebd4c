/* Makes calls of the C library fail on files whose path contains a text, or kills the process at
 * the n-th call that changes files. Loaded with LD_PRELOAD, told through its two functions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { READS = 1, WRITES = 2, OPENS = 4, HANGS = 8 };

static char match[256];
static int fault_errno, fault_kinds;
static long kill_at = -1, changes;

void faults_set(int number, int kinds, const char *text)
{
    snprintf(match, sizeof match, "%s", text);
    fault_errno = number;
    fault_kinds = kinds;
}

void faults_kill_at(long n)
{
    changes = 0;
    kill_at = n;
}

long faults_changes(void) { return changes; }

static int path_fails(const char *path, int kind)
{
    return (fault_kinds & kind) && path != NULL && strstr(path, match) != NULL;
}

static int fails(int fd, int kind)
{
    char link[64], path[4096];
    ssize_t length;

    if (!(fault_kinds & kind))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return path_fails(path, kind);
}

static int last_written = -1;

/* Writes to one file that follow each other are one change: fd is -1 for all else. */
static void change(int fd)
{
    if (fd >= 0 && fd == last_written)
        return;
    last_written = fd;
    if (kill_at >= 0 && changes++ == kill_at)
        kill(getpid(), SIGKILL);
}

#define REAL(name) ((typeof(&name)) dlsym(RTLD_NEXT, #name))

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    if (fails(fd, READS)) { errno = fault_errno; return -1; }
    return REAL(pread)(fd, to, n, at);
}

ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
    if (fails(fd, READS)) { errno = fault_errno; return -1; }
    return REAL(pread64)(fd, to, n, at);
}

ssize_t read(int fd, void *to, size_t n)
{
    if (fails(fd, READS)) { errno = fault_errno; return -1; }
    return REAL(read)(fd, to, n);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    if (fails(fd, WRITES)) { errno = fault_errno; return -1; }
    change(fd);
    return REAL(pwrite)(fd, from, n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
    if (fails(fd, WRITES)) { errno = fault_errno; return -1; }
    change(fd);
    return REAL(pwrite64)(fd, from, n, at);
}

static int sync_with(int (*real)(int), int fd)
{
    if (fails(fd, WRITES)) { errno = fault_errno; return -1; }
    while (fails(fd, HANGS))
        usleep(10000);
    change(-1);
    return real(fd);
}

int fsync(int fd) { return sync_with(REAL(fsync), fd); }

int fdatasync(int fd) { return sync_with(REAL(fdatasync), fd); }

int ftruncate(int fd, off_t length)
{
    change(-1);
    return REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    change(-1);
    return REAL(ftruncate64)(fd, length);
}

int rename(const char *from, const char *to)
{
    change(-1);
    return REAL(rename)(from, to);
}

int unlink(const char *path)
{
    change(-1);
    return REAL(unlink)(path);
}

static int open_with(int (*real)(const char *, int, ...), const char *path, int flags, int mode)
{
    if (path_fails(path, OPENS)) { errno = fault_errno; return -1; }
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    int mode = 0;

    va_start(rest, flags);
    if (flags & O_CREAT)
        mode = va_arg(rest, int);
    va_end(rest);
    return open_with(REAL(open), path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    int mode = 0;

    va_start(rest, flags);
    if (flags & O_CREAT)
        mode = va_arg(rest, int);
    va_end(rest);
    return open_with(REAL(open64), path, flags, mode);
}
