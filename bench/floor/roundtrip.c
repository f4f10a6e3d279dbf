/* How far two cores are from each other: `roundtrip A B` prints the nanoseconds that a word in shared
 * memory takes from core A to core B and back. On a virtual machine it changes with where the host
 * runs them, and the cost of a loopback request changes with it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 20000 };

static atomic_int word;

static int bind_to(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void *answer(void *core) {
    if (bind_to(*(int *)core) != 0) {
        fprintf(stderr, "roundtrip: no such core\n");
        exit(1);
    }
    for (int i = 0; i < ROUNDS; i++) {
        while (atomic_load(&word) != 2 * i + 1) {
        }
        atomic_store(&word, 2 * i + 2);
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: roundtrip CORE CORE\n");
        return 2;
    }
    int here = atoi(arguments[1]), there = atoi(arguments[2]);
    pthread_t other;
    struct timespec start, end;
    if (bind_to(here) != 0 || pthread_create(&other, NULL, answer, &there) != 0) {
        fprintf(stderr, "roundtrip: no such core\n");
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < ROUNDS; i++) {
        atomic_store(&word, 2 * i + 1);
        while (atomic_load(&word) != 2 * i + 2) {
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    pthread_join(other, NULL);
    double nanoseconds = (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
    printf("%.0f\n", nanoseconds / ROUNDS);
    return 0;
}
