/* A shop that several workers count in, from the wire format alone. cc -O1 -pthread program.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READY = 1, CLOSED = 2, LENGTH = 4096, SHARDS = 16 };
typedef _Atomic uint64_t word;
static const uint64_t MAGIC = 0x003442414c4d4853;

struct shop {
    word magic; _Atomic uint32_t version, state; word total_len; uint32_t creator; char pad0[36];
    word counter, stock, sold; char pad1[8];
    word left, right; char pad2[16];
    sem_t mutex; char pad3[32];
    sem_t arrived; char pad4[32];
    sem_t go; char pad5[32];
    struct { word count; char pad[56]; } shard[SHARDS];
};
_Static_assert(sizeof(struct shop) == 1344, "shop");

static struct shop *shop;
static int gated, inside;

static void die(int code, const char *what) {
    if (inside) sem_post(&shop->mutex);
    fprintf(stderr, "error: %s\n", what);
    exit(code);
}
static uint64_t get(word *w) { return atomic_load_explicit(w, memory_order_relaxed); }
static void set(word *w, uint64_t v) { atomic_store_explicit(w, v, memory_order_relaxed); }
static void P(sem_t *s) { while (sem_wait(s)) if (errno != EINTR) die(20, strerror(errno)); }
static void V(sem_t *s) { if (sem_post(s)) die(20, strerror(errno)); }
static void enter(void) { P(&shop->mutex); inside = 1; }
static void leave(void) { inside = 0; V(&shop->mutex); }
static void gate(void) { if (gated) { V(&shop->arrived); P(&shop->go); } }

static void add(word *w) { uint64_t seen = get(w); gate(); set(w, seen + 1); }
static void write_both(uint64_t value) { set(&shop->left, value); gate(); set(&shop->right, value); }
static void read_both(uint64_t *left, uint64_t *right) {
    *left = get(&shop->left); gate(); *right = get(&shop->right);
}
static int sell(void) {
    for (uint64_t seen; (seen = get(&shop->stock));) {
        gate();
        if (atomic_compare_exchange_strong(&shop->stock, &seen, seen - 1)) {
            atomic_fetch_add(&shop->sold, 1);
            return 1;
        }
    }
    return 0;
}

static void create(const char *name, uint64_t stock) {
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0) die(errno == EEXIST ? 10 : errno == EACCES ? 12 : 20, strerror(errno));
    struct shop *s = MAP_FAILED;
    if (fchmod(fd, 0600) || ftruncate(fd, LENGTH)
        || (s = mmap(0, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED
        || sem_init(&s->mutex, 1, 1) || sem_init(&s->arrived, 1, 0) || sem_init(&s->go, 1, 0)) {
        int e = errno; shm_unlink(name); die(20, strerror(e));
    }
    set(&s->magic, MAGIC);
    s->version = 1; s->total_len = LENGTH; s->creator = getpid();
    set(&s->stock, stock);
    atomic_store_explicit(&s->state, READY, memory_order_release);
}

/* 0: it is there and ready; else the exit code if it stays like that. */
static int attempt(const char *name) {
    int fd = shm_open(name, O_RDWR, 0);
    if (fd < 0) { if (errno == ENOENT) return 11; die(errno == EACCES ? 12 : 20, strerror(errno)); }
    struct stat st;
    if (fstat(fd, &st)) die(20, strerror(errno));
    if (st.st_size < LENGTH) { close(fd); return 14; }
    shop = mmap(0, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shop == MAP_FAILED) die(20, strerror(errno));
    close(fd);
    uint32_t state = atomic_load_explicit(&shop->state, memory_order_acquire);
    if (state == 0) { munmap(shop, LENGTH); return 14; }
    if (state > CLOSED || get(&shop->magic) != MAGIC || shop->version != 1 || get(&shop->total_len) > (uint64_t)st.st_size)
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

static uint64_t number(const char *line) {
    char *end;
    errno = 0;
    uint64_t n = strtoull(line, &end, 10);
    if (end == line || errno || *line == '-' || strspn(end, " \t\r\n") != strlen(end)) die(18, "no number");
    return n;
}

static void work(const char *mode, uint64_t shard, int step) {
    uint64_t effect = 0, left, right, value;
    char *line = 0;
    size_t room = 0;
    if (step) { puts("attached"); fflush(stdout); }
    while (getline(&line, &room, stdin) >= 0) {
        int done = 1;
        if (!strcmp(mode, "racy")) add(&shop->counter);
        else if (!strcmp(mode, "mutex")) { enter(); add(&shop->counter); leave(); }
        else if (!strcmp(mode, "atomic")) atomic_fetch_add(&shop->counter, 1);
        else if (!strcmp(mode, "sell")) done = sell();
        else if (!strcmp(mode, "shard")) {
            if (shard >= SHARDS) die(18, "no such shard");
            set(&shop->shard[shard].count, get(&shop->shard[shard].count) + 1);
        }
        else if (!strcmp(mode, "write-racy") || !strcmp(mode, "write")) {
            value = number(line);
            if (mode[5]) write_both(value);
            else { enter(); write_both(value); leave(); }
            if (step) printf("wrote %lu\n", value);
            fflush(stdout);
            effect++;
            continue;
        } else {
            if (mode[4]) read_both(&left, &right);
            else { enter(); read_both(&left, &right); leave(); }
            printf("read %lu %lu\n", left, right);
            fflush(stdout);
            effect++;
            continue;
        }
        effect += done;
        if (step) { puts(strcmp(mode, "sell") ? "done" : done ? "sold" : "refused"); fflush(stdout); }
    }
    if (!step) printf("done %lu\n", effect);
}

static void nothing(int signal) { (void)signal; }

int main(int argc, char **argv) {
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nothing}, 0);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 3) die(2, "usage");
    const char *what = argv[1], *name = argv[2], *mode = 0;
    uint64_t shard = 0, stock = 0;
    int step = 0;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--step")) step = 1;
        else if (!strcmp(argv[i], "--gate")) gated = 1;
        else if (!strcmp(argv[i], "--shard") && i + 1 < argc) shard = strtoull(argv[++i], 0, 10);
        else if (!strcmp(argv[i], "--stock") && i + 1 < argc) stock = strtoull(argv[++i], 0, 10);
        else if (!mode) mode = argv[i];
        else die(2, "usage");
    }
    if (!strcmp(what, "create")) { create(name, stock); return 0; }
    if (!strcmp(what, "destroy")) {
        if (shm_unlink(name)) die(errno == ENOENT ? 11 : errno == EACCES ? 12 : 20, strerror(errno));
        return 0;
    }
    if (!strcmp(what, "go")) { attach(name); V(&shop->go); return 0; }
    if (!strcmp(what, "worker") && mode) { attach(name); work(mode, shard, step); return 0; }
    if (!strcmp(what, "total")) {
        attach(name);
        uint64_t sum = 0;
        for (int i = 0; i < SHARDS; i++) sum += atomic_load(&shop->shard[i].count);
        printf("counter %lu\nstock %lu\nsold %lu\nshards %lu\nrecord %lu %lu\n", atomic_load(&shop->counter),
            atomic_load(&shop->stock), atomic_load(&shop->sold), sum, atomic_load(&shop->left), atomic_load(&shop->right));
        return 0;
    }
    die(2, "usage");
}
