/* An unbounded buffer between two processes, from the wire format alone. cc -O1 -pthread program.c */
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

enum { READY = 1, CLOSED = 2, PAGE = 4096, PAYLOAD = 56 };

struct slot { uint64_t len; unsigned char bytes[PAYLOAD]; };
struct log {
    char magic[8]; uint32_t version; uint32_t state; uint64_t total_len; uint32_t creator; char pad0[36];
    uint64_t tail; char pad1[120];
    uint64_t head; char pad2[56];
    struct slot slot[];
};
_Static_assert(sizeof(struct log) == 256, "header");

static int fd;
static struct log *log_;
static uint64_t mapped;

static void die(int code, const char *what) { fprintf(stderr, "error: %s\n", what); exit(code); }
static uint64_t end_of(uint64_t slots) { return sizeof(struct log) + slots * sizeof(struct slot); }
static uint64_t length(void) {
    struct stat st;
    if (fstat(fd, &st)) die(20, strerror(errno));
    return st.st_size;
}
static void map(uint64_t len) {
    struct log *new = mmap(0, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (new == MAP_FAILED) die(20, strerror(errno));
    if (log_) munmap(log_, mapped);
    log_ = new; mapped = len;
}

static void create(const char *name) {
    fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0) die(errno == EEXIST ? 10 : errno == EACCES ? 12 : 20, strerror(errno));
    if (fchmod(fd, 0600) || (errno = posix_fallocate(fd, 0, PAGE))) {
        int e = errno; shm_unlink(name); die(20, strerror(e));
    }
    map(PAGE);
    memcpy(log_->magic, "SHMLAB2", 8);
    log_->version = 1; log_->total_len = PAGE; log_->creator = getpid();
    __atomic_store_n(&log_->state, READY, __ATOMIC_RELEASE);
}

/* 0: it is there and ready; else the exit code if it stays like that. */
static int attempt(const char *name) {
    fd = shm_open(name, O_RDWR, 0);
    if (fd < 0) { if (errno == ENOENT) return 11; die(errno == EACCES ? 12 : 20, strerror(errno)); }
    uint64_t len = length();
    if (len < sizeof(struct log)) { close(fd); return 14; }
    map(len);
    uint32_t state = __atomic_load_n(&log_->state, __ATOMIC_ACQUIRE);
    if (state == 0) { munmap(log_, mapped); log_ = 0; close(fd); return 14; }
    if (state > CLOSED || memcmp(log_->magic, "SHMLAB2", 8) || log_->version != 1 || log_->total_len > len)
        die(13, "wrong format");
    return 0;
}
static void attach(const char *name) {
    const char *patience = getenv("LAB_PATIENCE_MS");
    long left = patience ? atol(patience) : 5000;
    for (int code; (code = attempt(name)); left -= 20) {
        if (left <= 0) die(code, code == 11 ? "no such name" : "not ready");
        nanosleep(&(struct timespec){0, 20000000}, 0);
    }
}
static void told(void) { puts("attached"); fflush(stdout); }

static void push(const unsigned char *bytes, uint64_t len) {
    if (len > PAYLOAD) die(16, "too long");
    uint64_t tail = __atomic_load_n(&log_->tail, __ATOMIC_RELAXED), end = end_of(tail + 1);
    if (end > mapped) {
        uint64_t now = length();
        if (end > now) {
            uint64_t room = (end + 4 * PAGE - 1) / PAGE * PAGE;
            int e = posix_fallocate(fd, now, room - now);
            if (e) die(20, strerror(e));
            now = room;
        }
        map(now);
    }
    log_->slot[tail].len = len;
    memcpy(log_->slot[tail].bytes, bytes, len);
    __atomic_store_n(&log_->tail, tail + 1, __ATOMIC_RELEASE);
}

/* -1: the end */
static int64_t pop(unsigned char *bytes) {
    uint64_t head = __atomic_load_n(&log_->head, __ATOMIC_RELAXED), tail;
    for (;; nanosleep(&(struct timespec){0, 1000000}, 0)) {
        /* The state first: what was published before CLOSED is counted by the tail that is read after it. */
        uint32_t state = __atomic_load_n(&log_->state, __ATOMIC_ACQUIRE);
        tail = __atomic_load_n(&log_->tail, __ATOMIC_ACQUIRE);
        if (tail != head) break;
        if (state == CLOSED) return -1;
    }
    if (tail < head || tail > UINT64_MAX / 128) die(13, "a count that cannot be");
    if (end_of(tail) > mapped) {
        uint64_t now = length();
        if (end_of(tail) > now) die(13, "more messages than room");
        map(now);
    }
    uint64_t len = log_->slot[head].len;
    if (len > PAYLOAD) die(13, "a length above 56");
    memcpy(bytes, log_->slot[head].bytes, len);
    __atomic_store_n(&log_->head, head + 1, __ATOMIC_RELEASE);
    return len;
}

/* The first page stays, and so does the page that the next message is in. */
static void give_back(void) {
    static uint64_t given = PAGE;
    uint64_t read = end_of(__atomic_load_n(&log_->head, __ATOMIC_RELAXED)) / PAGE * PAGE;
    if (read <= given) return;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, given, read - given)) die(20, strerror(errno));
    given = read;
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 3) die(2, "usage");
    const char *what = argv[1], *name = argv[2];
    int step = 0, keep = 0, give = 0;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--step")) step = 1;
        else if (!strcmp(argv[i], "--keep-open")) keep = 1;
        else if (!strcmp(argv[i], "--give-back")) give = 1;
        else die(2, "usage");
    }
    unsigned char m[PAYLOAD];
    if (!strcmp(what, "create")) { create(name); return 0; }
    if (!strcmp(what, "destroy")) {
        if (shm_unlink(name)) die(errno == ENOENT ? 11 : errno == EACCES ? 12 : 20, strerror(errno));
        return 0;
    }
    if (!strcmp(what, "producer")) {
        attach(name);
        if (__atomic_load_n(&log_->state, __ATOMIC_ACQUIRE) == CLOSED) die(21, "closed");
        if (step) told();
        uint64_t n = 0, count = 0;
        for (int c;;) {
            c = getchar();
            if (c != EOF) m[n++] = c;
            if ((c == EOF && n) || n == PAYLOAD || c == '\n') {
                push(m, n); n = 0;
                if (step) { printf("produced %lu\n", ++count); fflush(stdout); }
            }
            if (c == EOF) break;
        }
        if (!keep) __atomic_store_n(&log_->state, CLOSED, __ATOMIC_RELEASE);
        return 0;
    }
    if (!strcmp(what, "consumer")) {
        attach(name);
        if (step) told();
        for (;;) {
            if (step) { int c; while ((c = getchar()) != EOF && c != '\n'); if (c == EOF) return 0; }
            int64_t len = pop(m);
            if (len < 0) { if (step) { puts("end"); fflush(stdout); } return 0; }
            if (give) give_back();
            if (!step) fwrite(m, 1, len, stdout);
            else {
                fputs(len ? "consumed " : "consumed -", stdout);
                for (int64_t i = 0; i < len; i++) printf("%02x", m[i]);
                putchar('\n');
            }
            fflush(stdout);
        }
    }
    die(2, "usage");
}
