/* Latencies in microseconds, kept one by one, so that percentiles are exact. */
#ifndef BENCH_LOAD_SAMPLES_H
#define BENCH_LOAD_SAMPLES_H

struct samples {
    unsigned *values;
    long count, capacity;
};

void samples_add(struct samples *samples, long microseconds);
/* Sorts; needed before samples_percentile. */
void samples_sort(struct samples *samples);
/* The nearest-rank percentile, 0 < percent <= 100; 0 where there are no samples. */
unsigned samples_percentile(const struct samples *samples, double percent);

#endif
