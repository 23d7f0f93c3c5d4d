/* What the double answers: one chat completion, whole or as a stream of events, with the usage that it really emits.
 *
 * Every emitted token is the text " token", which the tokenizers of OpenAI's models count as one. */
#ifndef BENCH_DOUBLE_COMPLETION_H
#define BENCH_DOUBLE_COMPLETION_H

#include "request.h"

/* Room for one answer's start or one event, framing included. */
#define LONGEST_EVENT 1024

struct completion {
    char id[40];
    char model[128];
    long created;       /* Unix seconds */
    long prompt_tokens; /* as the request's words were counted */
    long tokens;        /* tokens of the whole answer */
    long emitted;       /* tokens that were handed out by now */
    bool cut;           /* the request's limit ended the answer: finish_reason is "length" */
    bool include_usage;
    int stage;          /* of a stream; see completion.c */
    int token_length;   /* the event of one token is the same each time, so it is made once */
    char token_event[LONGEST_EVENT];
};

/* Prepares the answer to `chat`: `most_tokens` tokens, or fewer where the request allows fewer. */
void completion_start(struct completion *completion, const struct chat_request *chat, long most_tokens, long number,
                      long created);

/* The whole answer to an unary request, head included; the caller frees `*answer`. Returns its length, -1 without memory. */
int completion_whole(struct completion *completion, char **answer);

/* The head of a streamed answer. */
const char *completion_stream_head(void);

/* Points `*event` at the next event, framed as one HTTP chunk; `scratch` has LONGEST_EVENT bytes and may hold it.
 * Returns its length, 0 after the last one. */
int completion_next(struct completion *completion, char *scratch, const char **event);

/* Whether the last event was handed out. */
bool completion_over(const struct completion *completion);

#endif
