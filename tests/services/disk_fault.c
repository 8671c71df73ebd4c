/* Preloaded into a process: makes its disk fail or stall while a file asks for it.
 *
 * $DISK_FAULT names a folder. Each file in it is named after a fault and holds a piece of a path;
 * the fault concerns every file whose path has that piece. What was met is noted, a byte for
 * each time, in <fault>.met.
 *
 *   eio-read    reads fail with EIO
 *   eio-write   writes and syncs fail with EIO
 *   stall-sync  fsync and fdatasync wait until the file is gone
 *   kill-at     holds a number before the piece, with a space between: the process is killed
 *               where it would change such a file for the so-manieth time
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Read what a fault says into `said`; 0 where it is not in force. */
static int in_force(const char *fault, char *said, size_t room)
{
    const char *folder = getenv("DISK_FAULT");
    char path[4096];
    ssize_t size;
    int file;

    if (folder == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", folder, fault);
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return 0;
    size = syscall(SYS_read, file, said, room - 1);
    syscall(SYS_close, file);
    if (size <= 0)
        return 0;
    said[size] = '\0';
    return 1;
}

static void note(const char *fault)
{
    char path[4096];
    int file;

    snprintf(path, sizeof path, "%s/%s.met", getenv("DISK_FAULT"), fault);
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file >= 0) {
        syscall(SYS_write, file, "x", 1);
        syscall(SYS_close, file);
    }
}

static int is_of(int fd, const char *piece)
{
    char link[64], path[4096];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = '\0';
    return strstr(path, piece) != NULL;
}

static int asked(const char *fault, int fd)
{
    char piece[1024];
    int kept = errno, found;

    found = in_force(fault, piece, sizeof piece) && is_of(fd, piece);
    if (found)
        note(fault);
    errno = kept;
    return found;
}

/* A file is about to be changed, told by its descriptor or, where that is -1, by its path. */
static void boundary(int fd, const char *path)
{
    static int count;
    char said[1024], *piece;
    int kept = errno;
    long last;

    if (in_force("kill-at", said, sizeof said)) {
        last = strtol(said, &piece, 10);
        piece++;
        if (fd >= 0 ? is_of(fd, piece) : strstr(path, piece) != NULL)
            if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == last) {
                note("kill-at");
                kill(getpid(), SIGKILL);
            }
    }
    errno = kept;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(fault, fd)    \
    if (asked(fault, fd)) {   \
        errno = EIO;          \
        return -1;            \
    }

ssize_t read(int fd, void *to, size_t size)
{
    static __typeof__(&read) next;
    if (next == NULL)
        next = NEXT(read);
    FAIL_IF("eio-read", fd)
    return next(fd, to, size);
}

ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    static __typeof__(&pread) next;
    if (next == NULL)
        next = NEXT(pread);
    FAIL_IF("eio-read", fd)
    return next(fd, to, size, at);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t at)
{
    static __typeof__(&pread64) next;
    if (next == NULL)
        next = NEXT(pread64);
    FAIL_IF("eio-read", fd)
    return next(fd, to, size, at);
}

ssize_t write(int fd, const void *from, size_t size)
{
    static __typeof__(&write) next;
    if (next == NULL)
        next = NEXT(write);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, from, size);
}

ssize_t writev(int fd, const struct iovec *from, int count)
{
    static __typeof__(&writev) next;
    if (next == NULL)
        next = NEXT(writev);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, from, count);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    static __typeof__(&pwrite) next;
    if (next == NULL)
        next = NEXT(pwrite);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    static __typeof__(&pwrite64) next;
    if (next == NULL)
        next = NEXT(pwrite64);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, from, size, at);
}

int ftruncate(int fd, off_t size)
{
    static __typeof__(&ftruncate) next;
    if (next == NULL)
        next = NEXT(ftruncate);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    static __typeof__(&ftruncate64) next;
    if (next == NULL)
        next = NEXT(ftruncate64);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, size);
}

int unlink(const char *path)
{
    static __typeof__(&unlink) next;
    if (next == NULL)
        next = NEXT(unlink);
    boundary(-1, path);
    return next(path);
}

int rename(const char *from, const char *to)
{
    static __typeof__(&rename) next;
    if (next == NULL)
        next = NEXT(rename);
    boundary(-1, to);
    return next(from, to);
}

/* Opening changes a folder where it may create. */
#define OPEN(name)                                 \
    int name(const char *path, int flags, ...)     \
    {                                              \
        static __typeof__(&name) next;             \
        mode_t mode = 0;                           \
        va_list rest;                              \
        if (next == NULL)                          \
            next = NEXT(name);                     \
        if (flags & (O_CREAT | O_TMPFILE)) {       \
            va_start(rest, flags);                 \
            mode = va_arg(rest, mode_t);           \
            va_end(rest);                          \
        }                                          \
        if (flags & O_CREAT)                       \
            boundary(-1, path);                    \
        return next(path, flags, mode);            \
    }

OPEN(open)
OPEN(open64)

static void stall(int fd)
{
    while (asked("stall-sync", fd))
        usleep(20000);
}

int fsync(int fd)
{
    static __typeof__(&fsync) next;
    if (next == NULL)
        next = NEXT(fsync);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    stall(fd);
    return next(fd);
}

int fdatasync(int fd)
{
    static __typeof__(&fdatasync) next;
    if (next == NULL)
        next = NEXT(fdatasync);
    boundary(fd, NULL);
    FAIL_IF("eio-write", fd)
    stall(fd);
    return next(fd);
}
