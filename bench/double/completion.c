#define _GNU_SOURCE
#include "completion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The order of a stream: the role, the tokens, the reason for the end, the usage where asked for, and [DONE]. */
enum stage { STAGE_ROLE, STAGE_TOKENS, STAGE_FINISH, STAGE_USAGE, STAGE_DONE, STAGE_OVER };

#define TOKEN_TEXT " token"

void completion_start(struct completion *completion, const struct chat_request *chat, long most_tokens, long number,
                      long created) {
    memset(completion, 0, offsetof(struct completion, token_event));
    snprintf(completion->id, sizeof completion->id, "chatcmpl-%016lx", number);
    snprintf(completion->model, sizeof completion->model, "%s", chat->model);
    completion->created = created;
    completion->prompt_tokens = chat->prompt_tokens;
    completion->cut = chat->max_tokens >= 0 && chat->max_tokens < most_tokens;
    completion->tokens = completion->cut ? chat->max_tokens : most_tokens;
    completion->include_usage = chat->include_usage;
    completion->stage = STAGE_ROLE;
}

int completion_whole(struct completion *completion, char **answer) {
    const size_t text_length = (size_t)completion->tokens * strlen(TOKEN_TEXT);
    char *text = malloc(text_length + 1);
    if (text == NULL) return -1;
    for (long token = 0; token < completion->tokens; token++) {
        memcpy(text + (size_t)token * strlen(TOKEN_TEXT), TOKEN_TEXT, strlen(TOKEN_TEXT));
    }
    text[text_length] = '\0';
    char *body = NULL;
    const int body_length =
        asprintf(&body,
                 "{\"id\":\"%s\",\"object\":\"chat.completion\",\"created\":%ld,\"model\":\"%s\",\"choices\":[{\"index\":0,"
                 "\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,"
                 "\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,"
                 "\"total_tokens\":%ld},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_double\"}",
                 completion->id, completion->created, completion->model, text, completion->cut ? "length" : "stop",
                 completion->prompt_tokens, completion->tokens, completion->prompt_tokens + completion->tokens);
    free(text);
    if (body_length < 0) return -1;
    const int length = asprintf(answer,
                                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                                "x-request-id: req_%s\r\n\r\n%s",
                                body_length, completion->id, body);
    free(body);
    completion->emitted = completion->tokens;
    return length;
}

const char *completion_stream_head(void) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
           "Transfer-Encoding: chunked\r\n\r\n";
}

/* Frames `data: …` as one event in one HTTP chunk. */
static int frame(char *out, const char *data) {
    return snprintf(out, LONGEST_EVENT, "%zx\r\ndata: %s\n\n\r\n", strlen(data) + strlen("data: \n\n"), data);
}

/* One chat.completion.chunk with the given choices; usage is null until the usage event, and absent if not asked for. */
static int chunk(const struct completion *completion, char *out, const char *choices, const char *usage) {
    char data[LONGEST_EVENT - 32];
    snprintf(data, sizeof data,
             "{\"id\":\"%s\",\"object\":\"chat.completion.chunk\",\"created\":%ld,\"model\":\"%s\","
             "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_double\",\"choices\":[%s]%s%s}",
             completion->id, completion->created, completion->model, choices,
             completion->include_usage ? ",\"usage\":" : "", completion->include_usage ? usage : "");
    return frame(out, data);
}

static int usage_chunk(const struct completion *completion, char *out) {
    char usage[160];
    snprintf(usage, sizeof usage, "{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}",
             completion->prompt_tokens, completion->emitted, completion->prompt_tokens + completion->emitted);
    return chunk(completion, out, "", usage);
}

static int token_event(struct completion *completion, const char **event) {
    if (completion->token_length == 0) {
        completion->token_length =
            chunk(completion, completion->token_event,
                  "{\"index\":0,\"delta\":{\"content\":\"" TOKEN_TEXT "\"},\"logprobs\":null,\"finish_reason\":null}",
                  "null");
    }
    completion->emitted++;
    *event = completion->token_event;
    return completion->token_length;
}

int completion_next(struct completion *completion, char *scratch, const char **event) {
    *event = scratch;
    switch (completion->stage) {
    case STAGE_ROLE:
        completion->stage = completion->tokens > 0 ? STAGE_TOKENS : STAGE_FINISH;
        return chunk(completion, scratch,
                     "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                     "\"logprobs\":null,\"finish_reason\":null}",
                     "null");
    case STAGE_TOKENS:
        if (completion->emitted + 1 == completion->tokens) completion->stage = STAGE_FINISH;
        return token_event(completion, event);
    case STAGE_FINISH:
        completion->stage = completion->include_usage ? STAGE_USAGE : STAGE_DONE;
        return chunk(completion, scratch,
                     completion->cut
                         ? "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}"
                         : "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}",
                     "null");
    case STAGE_USAGE:
        completion->stage = STAGE_DONE;
        return usage_chunk(completion, scratch);
    case STAGE_DONE:
        completion->stage = STAGE_OVER;
        return snprintf(scratch, LONGEST_EVENT, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    default:
        return 0;
    }
}

bool completion_over(const struct completion *completion) { return completion->stage == STAGE_OVER; }
