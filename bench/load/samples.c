#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void samples_add(struct samples *samples, long microseconds) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 65536 : samples->capacity * 2;
        samples->values = realloc(samples->values, (size_t)samples->capacity * sizeof *samples->values);
        if (samples->values == NULL) {
            perror("load");
            exit(1);
        }
    }
    samples->values[samples->count++] = (unsigned)microseconds;
}

static int ascending(const void *left, const void *right) {
    const unsigned a = *(const unsigned *)left, b = *(const unsigned *)right;
    return (a > b) - (a < b);
}

void samples_sort(struct samples *samples) {
    if (samples->count > 0) qsort(samples->values, (size_t)samples->count, sizeof *samples->values, ascending);
}

unsigned samples_percentile(const struct samples *samples, double percent) {
    if (samples->count == 0) return 0;
    const long rank = (long)ceil(percent / 100 * (double)samples->count);
    return samples->values[rank < 1 ? 0 : rank - 1];
}
