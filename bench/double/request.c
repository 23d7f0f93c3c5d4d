#define _GNU_SOURCE
#include "request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST_HEAD (64 * 1024)

/* The value of a header, or NULL. `head` ends with the empty line. */
static const char *header_value(const char *head, size_t length, const char *name) {
    const size_t name_length = strlen(name);
    const char *line = memchr(head, '\n', length);
    while (line != NULL) {
        line++;
        const size_t left = length - (size_t)(line - head);
        if (left > name_length && strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
            const char *value = line + name_length + 1;
            while (*value == ' ' || *value == '\t') value++;
            return value;
        }
        line = memchr(line, '\n', left);
    }
    return NULL;
}

enum framing request_parse(const char *buffer, size_t length, struct request *request) {
    const char *end = memmem(buffer, length, "\r\n\r\n", 4);
    if (end == NULL) return length > LONGEST_HEAD ? FRAMING_UNSUPPORTED : FRAMING_INCOMPLETE;
    const size_t head_length = (size_t)(end - buffer) + 4;
    if (head_length > LONGEST_HEAD || header_value(buffer, head_length, "transfer-encoding") != NULL) {
        return FRAMING_UNSUPPORTED;
    }
    const char *content_length = header_value(buffer, head_length, "content-length");
    const size_t body_length = content_length == NULL ? 0 : strtoul(content_length, NULL, 10);
    if (length < head_length + body_length) return FRAMING_INCOMPLETE;
    if (sscanf(buffer, "%7s %255s", request->method, request->path) != 2) return FRAMING_UNSUPPORTED;
    request->body = buffer + head_length;
    request->body_length = body_length;
    request->total_length = head_length + body_length;
    return FRAMING_COMPLETE;
}

/* The start of the next value of `key` (given with its quotes) at or after `from`, or NULL. */
static const char *find_value(const char *from, const char *end, const char *quoted_key) {
    const size_t key_length = strlen(quoted_key);
    while (from < end) {
        const char *found = memmem(from, (size_t)(end - from), quoted_key, key_length);
        if (found == NULL) return NULL;
        const char *value = found + key_length;
        while (value < end && isspace((unsigned char)*value)) value++;
        if (value < end && *value == ':') {
            value++;
            while (value < end && isspace((unsigned char)*value)) value++;
            return value < end ? value : NULL;
        }
        from = found + key_length;
    }
    return NULL;
}

static bool is_true(const char *body, const char *end, const char *quoted_key) {
    const char *value = find_value(body, end, quoted_key);
    return value != NULL && end - value >= 4 && memcmp(value, "true", 4) == 0;
}

/* A whole number of at most 9 digits, or -1. The body need not end with NUL, so strtol would read past it. */
static long whole_number(const char *body, const char *end, const char *quoted_key) {
    const char *value = find_value(body, end, quoted_key);
    if (value == NULL || !isdigit((unsigned char)*value)) return -1;
    long number = 0;
    for (int digits = 0; value < end && isdigit((unsigned char)*value) && digits < 9; digits++) {
        number = number * 10 + (*value++ - '0');
    }
    return number;
}

/* Where the string that starts at `value` ends (its closing quote), or NULL where `value` is no string. */
static const char *string_end(const char *value, const char *end) {
    if (value == NULL || value >= end || *value != '"') return NULL;
    for (const char *at = value + 1; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            return at;
        }
    }
    return NULL;
}

static long count_words(const char *from, const char *end) {
    long words = 0;
    bool inside = false;
    for (; from < end; from++) {
        const bool space = isspace((unsigned char)*from);
        if (!space && !inside) words++;
        inside = !space;
    }
    return words;
}

static long words_under(const char *body, const char *end, const char *quoted_key) {
    long words = 0;
    const char *value = find_value(body, end, quoted_key);
    while (value != NULL) {
        const char *closing = string_end(value, end);
        if (closing != NULL) words += count_words(value + 1, closing);
        value = find_value(closing == NULL ? value : closing, end, quoted_key);
    }
    return words;
}

void chat_request_parse(const char *body, size_t length, struct chat_request *chat) {
    const char *end = body + length;
    const char *model = find_value(body, end, "\"model\"");
    const char *model_end = string_end(model, end);
    chat->model[0] = '\0';
    if (model_end != NULL && (size_t)(model_end - model) <= sizeof chat->model) {
        memcpy(chat->model, model + 1, (size_t)(model_end - model) - 1);
        chat->model[model_end - model - 1] = '\0';
    }
    chat->stream = is_true(body, end, "\"stream\"");
    chat->include_usage = is_true(body, end, "\"include_usage\"");
    const long older = whole_number(body, end, "\"max_tokens\"");
    const long newer = whole_number(body, end, "\"max_completion_tokens\"");
    chat->max_tokens = older < 0 || (newer >= 0 && newer < older) ? newer : older;
    chat->prompt_tokens = words_under(body, end, "\"content\"") + words_under(body, end, "\"text\"");
}
