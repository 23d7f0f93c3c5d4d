#define _GNU_SOURCE
#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum stage { STAGE_HEAD, STAGE_BODY, STAGE_CHUNK_SIZE, STAGE_CHUNK, STAGE_CHUNK_END, STAGE_TRAILER };

void response_reset(struct response *response) {
    memset(response, 0, sizeof *response);
}

bool response_good(const struct response *response) {
    if (response->status != 200 || response->failed_stream) return false;
    return !response->event_stream || response->finished_stream;
}

/* A line of the event stream is complete. */
static void count_line(struct response *response) {
    static const char prefix[] = "data:";
    const char *line = response->line;
    const size_t length = response->line_length;
    response->line_length = 0;
    if (length < sizeof prefix || memcmp(line, prefix, sizeof prefix - 1) != 0) return;
    const char *data = line + sizeof prefix - 1;
    size_t left = length - (sizeof prefix - 1);
    if (*data == ' ') {
        data++;
        left--;
    }
    if (left >= 6 && memcmp(data, "[DONE]", 6) == 0) {
        response->finished_stream = true;
    } else if (left >= 8 && memcmp(data, "{\"error\"", 8) == 0) {
        response->failed_stream = true;
    } else {
        response->events++;
    }
}

static void take_payload(struct response *response, const char *data, size_t length) {
    response->body_bytes += (long)length;
    if (!response->event_stream) return;
    while (length > 0) {
        const char *newline = memchr(data, '\n', length);
        const size_t part = newline == NULL ? length : (size_t)(newline - data);
        const size_t room = LINE_KEPT - response->line_length;
        const size_t kept = part < room ? part : room;
        memcpy(response->line + response->line_length, data, kept);
        response->line_length += kept;
        if (newline == NULL) return;
        count_line(response);
        data += part + 1;
        length -= part + 1;
    }
}

static bool starts_with(const char *line, const char *prefix) { return strncasecmp(line, prefix, strlen(prefix)) == 0; }

/* Reads the head, which is complete; returns whether the body's length is known. */
static bool read_head(struct response *response) {
    response->head[response->head_length] = '\0';
    response->status = atoi(response->head + strlen("HTTP/1.1 "));
    bool known = false;
    for (char *line = strstr(response->head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (starts_with(line, "content-length:")) {
            response->left = atol(line + strlen("content-length:"));
            known = true;
        } else if (starts_with(line, "transfer-encoding: chunked")) {
            response->chunked = known = true;
        } else if (starts_with(line, "content-type: text/event-stream")) {
            response->event_stream = true;
        } else if (starts_with(line, "connection: close")) {
            response->closes = true;
        }
    }
    return known;
}

/* Takes head bytes; returns how many, and sets `*progress`. */
static size_t take_head(struct response *response, const char *data, size_t length, enum progress *progress) {
    const size_t before = response->head_length;
    const size_t room = LONGEST_HEAD - 1 - before;
    const size_t taken = length < room ? length : room;
    memcpy(response->head + before, data, taken);
    response->head_length += taken;
    const char *end = memmem(response->head, response->head_length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (taken < length) *progress = PROGRESS_BROKEN;
        return taken;
    }
    response->head_length = (size_t)(end - response->head) + 4;
    const size_t used = response->head_length - before;
    const bool known = read_head(response);
    if (response->status == 100) {
        response_reset(response);
    } else if (!known) {
        *progress = PROGRESS_BROKEN;
    } else if (response->chunked) {
        response->stage = STAGE_CHUNK_SIZE;
    } else {
        response->stage = STAGE_BODY;
        if (response->left == 0) *progress = PROGRESS_DONE;
    }
    return used;
}

static int hexadecimal(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if ((digit | 32) >= 'a' && (digit | 32) <= 'f') return (digit | 32) - 'a' + 10;
    return -1;
}

/* Takes one byte of the framing around chunks. */
static void take_framing(struct response *response, char byte, enum progress *progress) {
    if (response->stage == STAGE_CHUNK_SIZE) {
        const int digit = hexadecimal(byte);
        if (byte == '\n') {
            if (!response->size_seen) *progress = PROGRESS_BROKEN;
            response->stage = response->left > 0 ? STAGE_CHUNK : STAGE_TRAILER;
            response->size_seen = false;
        } else if (digit >= 0) {
            response->left = response->left * 16 + digit;
            response->size_seen = true;
        } else if (byte != '\r') {
            *progress = PROGRESS_BROKEN;
        }
        return;
    }
    if (response->stage == STAGE_CHUNK_END) {
        if (byte == '\n') response->stage = STAGE_CHUNK_SIZE;
        return;
    }
    if (byte == '\n') {
        if (response->trailer_length == 0) *progress = PROGRESS_DONE;
        response->trailer_length = 0;
    } else if (byte != '\r') {
        response->trailer_length++;
    }
}

enum progress response_feed(struct response *response, const char *data, size_t length) {
    enum progress progress = PROGRESS_MORE;
    while (length > 0 && progress == PROGRESS_MORE) {
        size_t used = 1;
        if (response->stage == STAGE_HEAD) {
            used = take_head(response, data, length, &progress);
        } else if (response->stage == STAGE_BODY || response->stage == STAGE_CHUNK) {
            used = length < (size_t)response->left ? length : (size_t)response->left;
            take_payload(response, data, used);
            response->left -= (long)used;
            if (response->left == 0 && response->stage == STAGE_BODY) progress = PROGRESS_DONE;
            if (response->left == 0 && response->stage == STAGE_CHUNK) response->stage = STAGE_CHUNK_END;
        } else {
            take_framing(response, *data, &progress);
        }
        data += used;
        length -= used;
    }
    return progress;
}
