/* Preloaded into a process: makes its disk fail or stall while a file asks for it.
 *
 * $DISK_FAULT names a folder. Each file in it is named after a fault and holds a number, a space,
 * and a piece of a path; the fault concerns every file whose path has that piece. What was met is
 * noted, a byte for each time, in <fault>.met.
 *
 *   eio-read    reads fail; the number is the error
 *   eio-write   writes and syncs fail
 *   eio-open    opening fails
 *   stall-sync  fsync and fdatasync wait until the file is gone
 *   kill-at     the process is killed where it would change such a file for the so-manieth time
 *   kill-between  the same, but writes to one file that follow each other count as one change
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

/* A fault that is in force: its number, and which files it concerns. */
struct fault {
    long number;
    char *piece, text[1024];
};

/* Read what is asked for; 0 where the fault is not in force. */
static int in_force(const char *name, struct fault *fault)
{
    const char *folder = getenv("DISK_FAULT");
    char path[4096];
    ssize_t size;
    int file;

    if (folder == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return 0;
    size = syscall(SYS_read, file, fault->text, sizeof fault->text - 1);
    syscall(SYS_close, file);
    if (size <= 0)
        return 0;
    fault->text[size] = '\0';
    fault->number = strtol(fault->text, &fault->piece, 10);
    fault->piece++;
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

/* Whether a fault concerns a file, told by its descriptor or, where that is -1, by its path. */
static int concerns(const struct fault *fault, int fd, const char *path)
{
    char link[64], found[4096];
    ssize_t length;

    if (fd < 0)
        return strstr(path, fault->piece) != NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, found, sizeof found - 1);
    if (length <= 0)
        return 0;
    found[length] = '\0';
    return strstr(found, fault->piece) != NULL;
}

/* Return 1 where a fault is met, with its number as the error. */
static int meets(const char *name, int fd, const char *path)
{
    struct fault fault;
    int before = errno;

    if (in_force(name, &fault) && concerns(&fault, fd, path)) {
        note(name);
        errno = (int)fault.number;
        return 1;
    }
    errno = before;
    return 0;
}

static void boundary(const char *name, int fd, const char *path)
{
    static int count;
    struct fault fault;
    int before = errno;

    if (in_force(name, &fault) && concerns(&fault, fd, path))
        if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == fault.number) {
            note(name);
            kill(getpid(), SIGKILL);
        }
    errno = before;
}

static int last_written = -1;

static void about_to_write(int fd)
{
    int more = fd == last_written;

    last_written = fd;
    boundary("kill-at", fd, NULL);
    if (!more)
        boundary("kill-between", fd, NULL);
}

static void about_to_change(int fd, const char *path)
{
    last_written = -1;
    boundary("kill-at", fd, path);
    boundary("kill-between", fd, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(fault, fd)        \
    if (meets(fault, fd, NULL))   \
        return -1;

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
    about_to_write(fd);
    FAIL_IF("eio-write", fd)
    return next(fd, from, size);
}

ssize_t writev(int fd, const struct iovec *from, int count)
{
    static __typeof__(&writev) next;
    if (next == NULL)
        next = NEXT(writev);
    about_to_write(fd);
    FAIL_IF("eio-write", fd)
    return next(fd, from, count);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    static __typeof__(&pwrite) next;
    if (next == NULL)
        next = NEXT(pwrite);
    about_to_write(fd);
    FAIL_IF("eio-write", fd)
    return next(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    static __typeof__(&pwrite64) next;
    if (next == NULL)
        next = NEXT(pwrite64);
    about_to_write(fd);
    FAIL_IF("eio-write", fd)
    return next(fd, from, size, at);
}

int ftruncate(int fd, off_t size)
{
    static __typeof__(&ftruncate) next;
    if (next == NULL)
        next = NEXT(ftruncate);
    about_to_change(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    static __typeof__(&ftruncate64) next;
    if (next == NULL)
        next = NEXT(ftruncate64);
    about_to_change(fd, NULL);
    FAIL_IF("eio-write", fd)
    return next(fd, size);
}

int unlink(const char *path)
{
    static __typeof__(&unlink) next;
    if (next == NULL)
        next = NEXT(unlink);
    about_to_change(-1, path);
    return next(path);
}

int rename(const char *from, const char *to)
{
    static __typeof__(&rename) next;
    if (next == NULL)
        next = NEXT(rename);
    about_to_change(-1, to);
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
            about_to_change(-1, path);             \
        if (meets("eio-open", -1, path))           \
            return -1;                             \
        return next(path, flags, mode);            \
    }

OPEN(open)
OPEN(open64)

static void stall(int fd)
{
    while (meets("stall-sync", fd, NULL))
        usleep(20000);
}

int fsync(int fd)
{
    static __typeof__(&fsync) next;
    if (next == NULL)
        next = NEXT(fsync);
    about_to_change(fd, NULL);
    FAIL_IF("eio-write", fd)
    stall(fd);
    return next(fd);
}

int fdatasync(int fd)
{
    static __typeof__(&fdatasync) next;
    if (next == NULL)
        next = NEXT(fdatasync);
    about_to_change(fd, NULL);
    FAIL_IF("eio-write", fd)
    stall(fd);
    return next(fd);
}
