/* Reads one HTTP/1.1 response as its bytes arrive, and counts the events of a stream.
 *
 * Bodies are framed by content-length or chunked; a body that only the end of the connection would close counts as
 * broken, as none of the measured servers may send one. */
#ifndef BENCH_LOAD_RESPONSE_H
#define BENCH_LOAD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#define LONGEST_HEAD 16384
#define LINE_KEPT 24

enum progress {
    PROGRESS_MORE,   /* the response is not over */
    PROGRESS_DONE,   /* it is, and was well-formed HTTP */
    PROGRESS_BROKEN  /* it cannot be read */
};

struct response {
    int stage;
    char head[LONGEST_HEAD];
    size_t head_length;
    int status;
    bool chunked, event_stream, closes;
    long left; /* of the body, or of the chunk that is being read */
    bool size_seen;
    size_t trailer_length;
    char line[LINE_KEPT]; /* the first bytes of the line of the event stream that is being read */
    size_t line_length;
    long body_bytes;
    long events; /* `data:` lines that carried a chunk: not [DONE], not an error */
    bool finished_stream; /* [DONE] came */
    bool failed_stream;   /* an error came in the stream */
};

void response_reset(struct response *response);

/* Takes `length` bytes. Bytes after the end of the response are left alone: nothing is pipelined here. */
enum progress response_feed(struct response *response, const char *data, size_t length);

/* Whether a finished response is what was hoped for: status 200, and a stream that ended with [DONE], without an error. */
bool response_good(const struct response *response);

#endif
