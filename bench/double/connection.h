/* A client's connection: what came in, what waits to go out, the stream it is being answered with, and the ordered
 * queue that says whose turn it is. */
#ifndef BENCH_DOUBLE_CONNECTION_H
#define BENCH_DOUBLE_CONNECTION_H

#include "completion.h"

enum pace {
    PACE_INTERVAL, /* one event per stream every so many microseconds */
    PACE_ROBIN,    /* every turn of the loop gives one event to each stream */
    PACE_BURST     /* all events of a stream back to back, as fast as they are taken */
};

struct connection;

/* Streams in the order in which they are due. All streams of one listener have the same interval, so that whoever is
 * served goes to the end and the order holds without sorting. */
struct queue {
    struct connection *first, *last;
    long length;
};

/* What epoll hands back: a listener or a connection, told apart by the first field. */
enum kind { KIND_LISTENER, KIND_CONNECTION };

struct listener {
    enum kind kind;
    int fd;
    int port;
    enum pace pace;
    long interval; /* microseconds, for PACE_INTERVAL */
    struct queue queue;
};

struct bytes {
    char *data;
    size_t start, end, capacity;
};

struct connection {
    enum kind kind;
    int fd;
    struct listener *listener;
    struct bytes in, out;
    bool streaming;
    bool waiting_for_room; /* epoll also watches for writability; such a stream stands in no queue */
    bool queued;
    bool closing; /* close once everything went out */
    bool gone;    /* the other side left or broke */
    long due;     /* microseconds, monotonic */
    struct completion completion;
    struct connection *previous, *next;
};

void queue_append(struct queue *queue, struct connection *connection);
void queue_remove(struct queue *queue, struct connection *connection);

/* Appends; false without memory. */
bool bytes_append(struct bytes *bytes, const char *data, size_t length);
/* Room for at least `length` more bytes at `data + end`; false without memory. */
bool bytes_reserve(struct bytes *bytes, size_t length);
size_t bytes_length(const struct bytes *bytes);
/* Drops from the front. */
void bytes_drop(struct bytes *bytes, size_t length);

/* Writes now what the socket takes and keeps the rest. Sets `gone` where the other side left. */
void connection_send(struct connection *connection, const char *data, size_t length);
/* Writes what was kept. */
void connection_flush(struct connection *connection);
/* Frees everything and closes the socket. */
void connection_free(struct connection *connection);

#endif
