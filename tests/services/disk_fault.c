/* Preloaded into a process: makes its disk fail or stall while a file asks for it.
 *
 * $DISK_FAULT names a folder. Each file in it is named after a fault and holds a piece of a path;
 * the fault concerns every file whose path has that piece. What was met is noted, a byte for
 * each time, in <fault>.met.
 *
 *   eio-read    reads fail with EIO
 *   eio-write   writes and syncs fail with EIO
 *   stall-sync  fsync and fdatasync wait until the file is gone
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int asked(const char *fault, int fd)
{
    const char *folder = getenv("DISK_FAULT");
    char path[4096], link[64], piece[1024];
    int kept = errno, file, found = 0;
    ssize_t length, size;

    if (folder == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", folder, fault);
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file >= 0) {
        size = syscall(SYS_read, file, piece, sizeof piece - 1);
        syscall(SYS_close, file);
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, path, sizeof path - 1);
        if (size > 0 && length > 0) {
            piece[size] = '\0';
            path[length] = '\0';
            found = strstr(path, piece) != NULL;
        }
    }
    if (found) {
        snprintf(path, sizeof path, "%s/%s.met", folder, fault);
        file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (file >= 0) {
            syscall(SYS_write, file, "x", 1);
            syscall(SYS_close, file);
        }
    }
    errno = kept;
    return found;
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
    FAIL_IF("eio-write", fd)
    return next(fd, from, size);
}

ssize_t writev(int fd, const struct iovec *from, int count)
{
    static __typeof__(&writev) next;
    if (next == NULL)
        next = NEXT(writev);
    FAIL_IF("eio-write", fd)
    return next(fd, from, count);
}

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
    FAIL_IF("eio-write", fd)
    stall(fd);
    return next(fd);
}

int fdatasync(int fd)
{
    static __typeof__(&fdatasync) next;
    if (next == NULL)
        next = NEXT(fdatasync);
    FAIL_IF("eio-write", fd)
    stall(fd);
    return next(fd);
}
