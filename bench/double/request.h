/* One HTTP/1.1 request as the double needs it: where it ends, what it asks for, and how long its prompt is. */
#ifndef BENCH_DOUBLE_REQUEST_H
#define BENCH_DOUBLE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum framing {
    FRAMING_INCOMPLETE, /* more bytes are needed */
    FRAMING_COMPLETE,   /* head and body are there */
    FRAMING_UNSUPPORTED /* a chunked body, or a head that is too long: answer and close */
};

struct request {
    char method[8];
    char path[256];
    const char *body; /* points into the buffer that was parsed; not terminated by NUL */
    size_t body_length;
    size_t total_length; /* head and body together: what to drop from the buffer afterwards */
};

struct chat_request {
    char model[128]; /* the JSON text between the quotes, as it came; empty where it is missing or too long */
    bool stream;
    bool include_usage;
    long max_tokens;    /* the smaller of max_tokens and max_completion_tokens; -1 where neither is there */
    long prompt_tokens; /* words in all "content" and "text" strings */
};

/* Splits the first request off `buffer`. `request` is only filled in on FRAMING_COMPLETE. */
enum framing request_parse(const char *buffer, size_t length, struct request *request);

/* Reads the few keys that the double honours. The body is taken for valid JSON. A key is found at any depth: inside a
 * JSON string every quote is escaped, so `"key"` followed by a colon can only be a key. */
void chat_request_parse(const char *body, size_t length, struct chat_request *chat);

#endif
