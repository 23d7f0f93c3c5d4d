#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void queue_append(struct queue *queue, struct connection *connection) {
    connection->previous = queue->last;
    connection->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = connection;
    } else {
        queue->first = connection;
    }
    queue->last = connection;
    queue->length++;
    connection->queued = true;
}

void queue_remove(struct queue *queue, struct connection *connection) {
    if (!connection->queued) return;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        queue->first = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    } else {
        queue->last = connection->previous;
    }
    queue->length--;
    connection->queued = false;
}

size_t bytes_length(const struct bytes *bytes) { return bytes->end - bytes->start; }

bool bytes_reserve(struct bytes *bytes, size_t length) {
    if (bytes->capacity - bytes->end >= length) return true;
    const size_t kept = bytes_length(bytes);
    if (bytes->start > 0) {
        memmove(bytes->data, bytes->data + bytes->start, kept);
        bytes->start = 0;
        bytes->end = kept;
    }
    if (bytes->capacity - bytes->end >= length) return true;
    const size_t capacity = (kept + length) * 2;
    char *grown = realloc(bytes->data, capacity);
    if (grown == NULL) return false;
    bytes->data = grown;
    bytes->capacity = capacity;
    return true;
}

bool bytes_append(struct bytes *bytes, const char *data, size_t length) {
    if (!bytes_reserve(bytes, length)) return false;
    memcpy(bytes->data + bytes->end, data, length);
    bytes->end += length;
    return true;
}

void bytes_drop(struct bytes *bytes, size_t length) {
    bytes->start += length;
    if (bytes->start == bytes->end) bytes->start = bytes->end = 0;
}

/* Bytes that the socket took; 0 where it is full or broken. */
static size_t write_some(struct connection *connection, const char *data, size_t length) {
    const ssize_t written = send(connection->fd, data, length, MSG_NOSIGNAL);
    if (written >= 0) return (size_t)written;
    if (errno != EAGAIN && errno != EINTR) connection->gone = true;
    return 0;
}

void connection_send(struct connection *connection, const char *data, size_t length) {
    if (connection->gone) return;
    size_t written = 0;
    if (bytes_length(&connection->out) == 0) written = write_some(connection, data, length);
    if (written == length || connection->gone) return;
    if (!bytes_append(&connection->out, data + written, length - written)) connection->gone = true;
}

void connection_flush(struct connection *connection) {
    struct bytes *out = &connection->out;
    while (!connection->gone && bytes_length(out) > 0) {
        const size_t written = write_some(connection, out->data + out->start, bytes_length(out));
        if (written == 0) return;
        bytes_drop(out, written);
    }
}

void connection_free(struct connection *connection) {
    queue_remove(&connection->listener->queue, connection);
    close(connection->fd);
    free(connection->in.data);
    free(connection->out.data);
    free(connection);
}
