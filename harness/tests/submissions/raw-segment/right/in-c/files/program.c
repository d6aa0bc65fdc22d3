/* A table of strings in a raw segment, from the wire format alone. cc -O1 -pthread program.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READY = 1, CLOSED = 2, ENTRIES = 64, HEAP = 640 };

struct table {
    char magic[8]; uint32_t version; uint32_t state; uint64_t total_len; uint32_t creator; char pad0[36];
    uint32_t count, heap_used; char pad1[56];
    struct { uint32_t off, len; } entry[ENTRIES];
    unsigned char heap[];
};
_Static_assert(sizeof(struct table) == HEAP, "header");

/* The object as it was when it was mapped: nobody may shrink it, and a table does not grow. */
static struct table *table;
static uint64_t length;

static void die(int code, const char *what) { fprintf(stderr, "error: %s\n", what); exit(code); }
static uint32_t acquire(uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static uint32_t get(uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static void set(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }

static void create(const char *name, uint64_t len) {
    if (len < HEAP) die(15, "shorter than the header");
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0) die(errno == EEXIST ? 10 : errno == EACCES ? 12 : 20, strerror(errno));
    struct table *t = MAP_FAILED;
    if (len > INT64_MAX || fchmod(fd, 0600) || ftruncate(fd, len)
        || (t = mmap(0, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        int e = errno; shm_unlink(name); die(20, strerror(e));
    }
    memcpy(t->magic, "SHMLAB1", 8);
    t->version = 1; t->total_len = len; t->creator = getpid();
    __atomic_store_n(&t->state, READY, __ATOMIC_RELEASE);
}

/* 0: it is there and ready; else the exit code if it stays like that. */
static int attempt(const char *name, int writes) {
    int fd = shm_open(name, writes ? O_RDWR : O_RDONLY, 0);
    if (fd < 0) { if (errno == ENOENT) return 11; die(errno == EACCES ? 12 : 20, strerror(errno)); }
    struct stat st;
    if (fstat(fd, &st)) die(20, strerror(errno));
    if (st.st_size < HEAP) { close(fd); return 14; }
    length = st.st_size;
    table = mmap(0, length, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED) die(20, strerror(errno));
    close(fd);
    uint32_t state = acquire(&table->state);
    if (state == 0) { munmap(table, length); return 14; }
    if (state > CLOSED || memcmp(table->magic, "SHMLAB1", 8) || table->version != 1 || table->total_len > length)
        die(13, "wrong format");
    return 0;
}

static void attach(const char *name, int writes, int step) {
    const char *patience = getenv("LAB_PATIENCE_MS");
    long left = patience ? atol(patience) : 5000;
    for (int code; (code = attempt(name, writes)); left -= 20) {
        if (left <= 0) die(code, code == 11 ? "no such name" : "not ready");
        nanosleep(&(struct timespec){0, 20000000}, 0);
    }
    if (step) { puts("attached"); fflush(stdout); }
}

static uint32_t count(void) {
    uint32_t n = acquire(&table->count);
    if (n > ENTRIES) die(13, "a count above 64");
    return n;
}

static void put(const char *bytes, uint64_t len) {
    uint32_t n = count(), used = get(&table->heap_used);
    if (n == ENTRIES) die(17, "64 strings already");
    /* Who was killed before publishing may have counted bytes that no entry has. */
    used = n ? get(&table->entry[n - 1].off) + get(&table->entry[n - 1].len) - HEAP : 0;
    if (len > UINT32_MAX || HEAP + (uint64_t)used + len > length) die(16, "no room");
    memcpy(table->heap + used, bytes, len);
    set(&table->entry[n].off, HEAP + used);
    set(&table->entry[n].len, len);
    set(&table->heap_used, used + len);
    __atomic_store_n(&table->count, n + 1, __ATOMIC_RELEASE);
}

static const unsigned char *string(uint32_t i, uint32_t *len) {
    if (i >= ENTRIES) die(18, "no such string");
    uint64_t off = get(&table->entry[i].off);
    *len = get(&table->entry[i].len);
    if (off < HEAP || off + *len > length) die(13, "an entry outside");
    return (unsigned char *)table + off;
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 3) die(2, "usage");
    const char *what = argv[1], *name = argv[2], *len = 0, *wanted = 0;
    int step = 0;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--step")) step = 1;
        else if (!strcmp(argv[i], "--count") && i + 1 < argc) wanted = argv[++i];
        else if (!len) len = argv[i];
        else die(2, "usage");
    }
    if (!strcmp(what, "create") && len) { create(name, strtoull(len, 0, 10)); return 0; }
    if (!strcmp(what, "destroy")) {
        if (shm_unlink(name)) die(errno == ENOENT ? 11 : errno == EACCES ? 12 : 20, strerror(errno));
        return 0;
    }
    if (!strcmp(what, "producer")) {
        attach(name, 1, step);
        char *line = 0;
        size_t room = 0, done = 0;
        for (ssize_t n; (n = getline(&line, &room, stdin)) >= 0;) {
            put(line, n);
            if (step) { printf("produced %zu\n", ++done); fflush(stdout); }
        }
        return 0;
    }
    if (!strcmp(what, "consumer")) {
        attach(name, 0, step);
        uint32_t last = wanted ? strtoul(wanted, 0, 10) : step ? UINT32_MAX : count();
        if (wanted && last > ENTRIES) die(2, "at most 64");
        for (uint32_t i = 0; i < last; i++) {
            if (step) { int c; while ((c = getchar()) != EOF && c != '\n'); if (c == EOF) return 0; }
            while (count() <= i) nanosleep(&(struct timespec){0, 1000000}, 0);
            uint32_t n;
            const unsigned char *bytes = string(i, &n);
            if (!step) fwrite(bytes, 1, n, stdout);
            else {
                fputs(n ? "consumed " : "consumed -", stdout);
                for (uint32_t b = 0; b < n; b++) printf("%02x", bytes[b]);
                putchar('\n');
            }
            fflush(stdout);
        }
        return 0;
    }
    die(2, "usage");
}
