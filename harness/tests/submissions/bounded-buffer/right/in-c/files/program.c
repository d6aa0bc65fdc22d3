/* A bounded buffer between processes, from the wire format alone. cc -O1 -pthread program.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct ring {
    char magic[8]; uint32_t version; uint32_t state; uint64_t total_len; uint32_t creator; char pad0[36];
    uint32_t capacity, slot_size, lock; char pad1[52];
    sem_t empty; char pad2[32];
    sem_t full; char pad3[32];
    sem_t mutex; char pad4[32];
    uint64_t head, tail; char pad5[48];
    pthread_mutex_t robust; char pad6[24];
    char reserved[64];
    unsigned char slots[];
};
_Static_assert(sizeof(struct ring) == 512, "header");

static void die(int code, const char *what) { fprintf(stderr, "error: %s\n", what); exit(code); }
static void nothing(int s) { (void)s; }
static uint64_t get(uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static void set(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static void P(sem_t *s) { while (sem_wait(s)) if (errno != EINTR) die(20, strerror(errno)); }
static void V(sem_t *s) { if (sem_post(s)) die(20, strerror(errno)); }

static void repair(struct ring *r, int has_empty, int has_full) {
    int full, empty;
    uint64_t used = get(&r->tail) - get(&r->head);
    uint64_t closed = __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == 2;
    sem_getvalue(&r->full, &full); sem_getvalue(&r->empty, &empty);
    for (uint64_t n = full + has_full; n < used + closed; n++) V(&r->full);
    for (uint64_t n = empty + has_empty; n < r->capacity - used; n++) V(&r->empty);
}
static void enter(struct ring *r, int has_empty, int has_full) {
    if (!r->lock) { P(&r->mutex); return; }
    int e = pthread_mutex_lock(&r->robust);
    if (e == EOWNERDEAD) { repair(r, has_empty, has_full); e = pthread_mutex_consistent(&r->robust); }
    if (e) die(20, strerror(e));
}
static void leave(struct ring *r) {
    if (!r->lock) { V(&r->mutex); return; }
    int e = pthread_mutex_unlock(&r->robust);
    if (e) die(20, strerror(e));
}
static unsigned char *slot(struct ring *r, uint64_t n) { return r->slots + n % r->capacity * r->slot_size; }

static void push(struct ring *r, const unsigned char *m, uint64_t len) {
    if (len > r->slot_size - 8) die(16, "too long");
    for (;;) {
        P(&r->empty);
        enter(r, 1, 0);
        uint64_t tail = get(&r->tail);
        if (tail - get(&r->head) == r->capacity) { leave(r); continue; }
        memcpy(slot(r, tail), &len, 8);
        memcpy(slot(r, tail) + 8, m, len);
        set(&r->tail, tail + 1);
        V(&r->full);
        leave(r);
        return;
    }
}
/* -1: the end */
static int64_t pop(struct ring *r, unsigned char *m) {
    for (;;) {
        P(&r->full);
        enter(r, 0, 1);
        uint64_t head = get(&r->head), len;
        if (head == get(&r->tail)) {
            int closed = __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == 2;
            if (closed) V(&r->full);
            leave(r);
            if (closed) return -1;
            continue;
        }
        memcpy(&len, slot(r, head), 8);
        if (len > r->slot_size - 8) { V(&r->full); leave(r); die(13, "a slot's length"); }
        memcpy(m, slot(r, head) + 8, len);
        set(&r->head, head + 1);
        V(&r->empty);
        leave(r);
        return len;
    }
}
static void create(const char *name, unsigned long long cap, uint32_t size, int robust) {
    if (cap == 0) die(15, "capacity 0");
    if (cap > 0x7fffffffULL) die(18, "capacity too large");
    uint64_t len = 512 + cap * size;
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0) die(errno == EEXIST ? 10 : errno == EACCES ? 12 : 20, strerror(errno));
    struct ring *r = MAP_FAILED;
    if (fchmod(fd, 0600) || ftruncate(fd, len) || posix_fallocate(fd, 0, len)
        || (r = mmap(0, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        int e = errno; shm_unlink(name); die(20, strerror(e));
    }
    memcpy(r->magic, "SHMLAB3", 8);
    r->version = 1; r->total_len = len; r->creator = getpid();
    r->capacity = cap; r->slot_size = size; r->lock = robust;
    if (sem_init(&r->empty, 1, cap) || sem_init(&r->full, 1, 0) || sem_init(&r->mutex, 1, 1)) {
        shm_unlink(name); die(20, "sem_init");
    }
    if (robust) {
        pthread_mutexattr_t a;
        pthread_mutexattr_init(&a);
        pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
        pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
        if (pthread_mutex_init(&r->robust, &a)) { shm_unlink(name); die(20, "mutex"); }
    }
    __atomic_store_n(&r->state, 1, __ATOMIC_RELEASE);
}
static struct ring *open_ring(const char *name) {
    const char *p = getenv("LAB_PATIENCE_MS");
    long left = p ? atol(p) : 5000;
    int code = 11;
    for (;; left -= 5) {
        int fd = shm_open(name, O_RDWR, 0);
        struct stat st;
        if (fd < 0 && errno != ENOENT) die(errno == EACCES ? 12 : 20, strerror(errno));
        if (fd < 0) code = 11;
        else if (fstat(fd, &st)) die(20, "fstat");
        else if (st.st_size < 528) code = 14;
        else {
            struct ring *r = mmap(0, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (r == MAP_FAILED) die(20, strerror(errno));
            uint32_t state = __atomic_load_n(&r->state, __ATOMIC_ACQUIRE);
            if (state) {
                if (memcmp(r->magic, "SHMLAB3", 8) || r->version != 1 || state > 2 || r->total_len > (uint64_t)st.st_size
                    || r->capacity == 0 || r->capacity > 0x7fffffff || r->slot_size < 16 || r->slot_size > 1 << 20 || r->slot_size % 16
                    || r->lock > 1 || 512 + (uint64_t)r->capacity * r->slot_size > (uint64_t)st.st_size) die(13, "wrong format");
                close(fd);
                return r;
            }
            munmap(r, st.st_size);
            code = 14;
        }
        if (fd >= 0) close(fd);
        if (left <= 0) die(code, code == 11 ? "no such name" : "not ready");
        nanosleep(&(struct timespec){0, 5000000}, 0);
    }
}
static void close_ring(struct ring *r) { __atomic_store_n(&r->state, 2, __ATOMIC_RELEASE); V(&r->full); }

int main(int argc, char **argv) {
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nothing}, 0);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 3) die(2, "usage");
    const char *what = argv[1], *name = argv[2], *capacity = 0;
    int step = 0, keep = 0, bulk = 0, robust = 0; uint32_t size = 64;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--step")) step = 1;
        else if (!strcmp(argv[i], "--keep-open")) keep = 1;
        else if (!strcmp(argv[i], "--bulk")) bulk = 1;
        else if (!strcmp(argv[i], "--robust")) robust = 1;
        else if (!strcmp(argv[i], "--slot") && i + 1 < argc) size = atoi(argv[++i]);
        else if (!capacity) capacity = argv[i];
        else die(2, "usage");
    }
    if (size < 16 || size > 1 << 20 || size % 16) die(2, "slot");
    if (!strcmp(what, "create") && capacity) { create(name, strtoull(capacity, 0, 10), size, robust); return 0; }
    if (!strcmp(what, "destroy")) { if (shm_unlink(name)) die(errno == ENOENT ? 11 : 20, strerror(errno)); return 0; }
    if (!strcmp(what, "close")) { close_ring(open_ring(name)); return 0; }
    if (!strcmp(what, "producer")) {
        struct ring *r = open_ring(name);
        if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == 2) die(21, "closed");
        if (step) { puts("attached"); fflush(stdout); }
        uint64_t room = r->slot_size - 8, n = 0, count = 0;
        unsigned char *m = malloc(room);
        for (int c;;) {
            c = getchar();
            if (c != EOF) m[n++] = c;
            if ((c == EOF && n) || n == room || (c == '\n' && !bulk)) {
                push(r, m, n); n = 0;
                if (step) { printf("produced %lu\n", ++count); fflush(stdout); }
            }
            if (c == EOF) break;
        }
        if (!keep) close_ring(r);
        return 0;
    }
    if (!strcmp(what, "consumer")) {
        struct ring *r = open_ring(name);
        if (step) { puts("attached"); fflush(stdout); }
        unsigned char *m = malloc(r->slot_size);
        for (;;) {
            if (step) { int c; while ((c = getchar()) != EOF && c != '\n'); if (c == EOF) return 0; }
            int64_t len = pop(r, m);
            if (len < 0) { if (step) { puts("end"); fflush(stdout); } return 0; }
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
