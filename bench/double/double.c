/* A provider double for benchmarks: an OpenAI-compatible server on the loopback interface that answers at once, or
 * streams at a set pace, and reports the usage that it really emitted.
 *
 *     double [--tokens N] [--seconds S] [--parent PID] PACE[:PORT] …
 *
 * PACE is `paced=MICROSECONDS`, `robin` or `burst` (see connection.h); a port of 0, the default, takes any free one.
 * Prints one JSON line, {"ports":[…]}, in the order given, once everything listens. Serves
 *
 *     POST /v1/chat/completions   an answer of N tokens (default 100), or of max_tokens where that is less
 *     GET  /v1/models             one model
 *     GET  /stats                 what was emitted so far, to compare a bill with
 *
 * Ends after S seconds (default 600), and when the process that started it ends. */
#define _GNU_SOURCE
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_LISTENERS 8
#define LARGEST_REQUEST (40L * 1024 * 1024)
#define READ_SIZE 65536

static struct listener listeners[MOST_LISTENERS];
static int listener_count;
static int epoll_fd;
static long tokens_per_answer = 100;

static struct {
    long connections, requests, streams, streams_left, prompt_tokens, completion_tokens, events;
} totals;

static long now_microseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

static void watch(struct connection *connection, bool for_room) {
    if (connection->waiting_for_room == for_room) return;
    connection->waiting_for_room = for_room;
    struct epoll_event event = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void send_json(struct connection *connection, const char *status, const char *json) {
    char answer[2048];
    const int length = snprintf(answer, sizeof answer,
                                "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s", status,
                                strlen(json), connection->closing ? "Connection: close\r\n" : "", json);
    connection_send(connection, answer, (size_t)length);
}

static void refuse(struct connection *connection, const char *status, const char *message) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}", message);
    send_json(connection, status, json);
}

static void send_stats(struct connection *connection) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"connections\":%ld,\"requests\":%ld,\"streams\":%ld,\"streams_left\":%ld,\"prompt_tokens\":%ld,"
             "\"completion_tokens\":%ld,\"events\":%ld}",
             totals.connections, totals.requests, totals.streams, totals.streams_left, totals.prompt_tokens,
             totals.completion_tokens, totals.events);
    send_json(connection, "200 OK", json);
}

/* Sends the next event of a stream and counts it. */
static void send_event(struct connection *connection) {
    char scratch[LONGEST_EVENT];
    const char *event;
    const long emitted = connection->completion.emitted;
    const int length = completion_next(&connection->completion, scratch, &event);
    connection_send(connection, event, (size_t)length);
    if (connection->gone) return;
    totals.events++;
    totals.completion_tokens += connection->completion.emitted - emitted;
    if (completion_over(&connection->completion)) connection->streaming = false;
}

/* Gives a stream its turn, then its next place: the queue, or none while the socket is full or the stream is over. */
static void take_turn(struct connection *connection, long now) {
    struct listener *listener = connection->listener;
    do {
        send_event(connection);
    } while (listener->pace == PACE_BURST && connection->streaming && !connection->gone &&
             bytes_length(&connection->out) == 0);
    const bool blocked = bytes_length(&connection->out) > 0;
    watch(connection, blocked);
    if (connection->gone || !connection->streaming || blocked) return;
    connection->due += listener->interval;
    if (connection->due < now) connection->due = now;
    queue_append(&listener->queue, connection);
}

static void start_answer(struct connection *connection, const struct request *request) {
    struct chat_request chat;
    chat_request_parse(request->body, request->body_length, &chat);
    if (chat.model[0] == '\0') {
        refuse(connection, "400 Bad Request", "you must provide a model of at most 127 bytes");
        return;
    }
    struct completion *completion = &connection->completion;
    totals.requests++;
    totals.prompt_tokens += chat.prompt_tokens;
    completion_start(completion, &chat, tokens_per_answer, totals.requests, time(NULL));
    if (!chat.stream) {
        char *answer = NULL;
        const int length = completion_whole(completion, &answer);
        if (length < 0) {
            connection->gone = true;
            return;
        }
        totals.completion_tokens += completion->emitted;
        connection_send(connection, answer, (size_t)length);
        free(answer);
        return;
    }
    totals.streams++;
    completion->token_length = 0;
    connection->streaming = true;
    connection->due = now_microseconds();
    connection_send(connection, completion_stream_head(), strlen(completion_stream_head()));
    take_turn(connection, connection->due);
}

static void answer(struct connection *connection, const struct request *request) {
    const bool get = strcmp(request->method, "GET") == 0;
    if (get && strcmp(request->path, "/v1/models") == 0) {
        send_json(connection, "200 OK",
                  "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":1721172741,"
                  "\"owned_by\":\"double\"}]}");
    } else if (get && strcmp(request->path, "/stats") == 0) {
        send_stats(connection);
    } else if (!get && strcmp(request->path, "/v1/chat/completions") == 0) {
        start_answer(connection, request);
    } else {
        refuse(connection, "404 Not Found", "no such path");
    }
}

/* Answers the requests that are whole, one after the other: the next one waits for the end of a stream. */
static void answer_all(struct connection *connection) {
    while (!connection->gone && !connection->streaming && !connection->closing) {
        struct bytes *in = &connection->in;
        struct request request;
        const enum framing framing =
            bytes_length(in) == 0 ? FRAMING_INCOMPLETE
                                  : request_parse(in->data + in->start, bytes_length(in), &request);
        if (framing == FRAMING_UNSUPPORTED || bytes_length(in) > LARGEST_REQUEST) {
            connection->closing = true;
            refuse(connection, "411 Length Required", "send a content-length and a short head");
        }
        if (framing != FRAMING_COMPLETE) break;
        answer(connection, &request);
        bytes_drop(in, request.total_length);
    }
    const bool blocked = bytes_length(&connection->out) > 0;
    if (connection->closing && !blocked) connection->gone = true;
    watch(connection, blocked);
}

static void end(struct connection *connection) {
    if (connection->streaming) totals.streams_left++;
    connection_free(connection);
}

static void read_some(struct connection *connection) {
    struct bytes *in = &connection->in;
    if (!bytes_reserve(in, READ_SIZE)) {
        connection->gone = true;
        return;
    }
    const ssize_t length = read(connection->fd, in->data + in->end, in->capacity - in->end);
    if (length > 0) {
        in->end += (size_t)length;
    } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection->gone = true;
    }
}

static void on_connection(struct connection *connection, unsigned events) {
    if (events & EPOLLOUT) {
        connection_flush(connection);
        const bool drained = bytes_length(&connection->out) == 0;
        if (drained && connection->streaming && !connection->gone) {
            connection->due = now_microseconds();
            take_turn(connection, connection->due);
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_some(connection);
    answer_all(connection);
    if (connection->gone) end(connection);
}

static void on_listener(struct listener *listener) {
    for (;;) {
        const int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) {
            close(fd);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        connection->kind = KIND_CONNECTION;
        connection->fd = fd;
        connection->listener = listener;
        totals.connections++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

/* Gives everyone who is due a turn, at most once each. */
static void serve_queue(struct queue *queue) {
    const long now = now_microseconds();
    for (long turns = queue->length; turns > 0 && queue->first != NULL && queue->first->due <= now; turns--) {
        struct connection *connection = queue->first;
        queue_remove(queue, connection);
        take_turn(connection, now);
        if (!connection->streaming) answer_all(connection);
        if (connection->gone) end(connection);
    }
}

/* Microseconds until somebody is due; -1 where nobody waits. */
static long next_due(void) {
    const long now = now_microseconds();
    long soonest = -1;
    for (int index = 0; index < listener_count; index++) {
        const struct connection *first = listeners[index].queue.first;
        if (first == NULL) continue;
        const long wait = first->due > now ? first->due - now : 0;
        if (soonest < 0 || wait < soonest) soonest = wait;
    }
    return soonest;
}

static void serve(void) {
    struct epoll_event events[256];
    for (;;) {
        const long wait = next_due();
        const struct timespec timeout = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
        const int count = epoll_pwait2(epoll_fd, events, 256, wait < 0 ? NULL : &timeout, NULL);
        for (int index = 0; index < count; index++) {
            const enum kind *kind = events[index].data.ptr;
            if (*kind == KIND_LISTENER) {
                on_listener(events[index].data.ptr);
            } else {
                on_connection(events[index].data.ptr, events[index].events);
            }
        }
        for (int index = 0; index < listener_count; index++) serve_queue(&listeners[index].queue);
    }
}

/* Fills in `listener` from `PACE[:PORT]` and starts to listen; false with a message on stderr where it cannot. */
static bool listen_as(struct listener *listener, char *wanted) {
    char *colon = strchr(wanted, ':');
    const int port = colon == NULL ? 0 : atoi(colon + 1);
    if (colon != NULL) *colon = '\0';
    if (strncmp(wanted, "paced=", 6) == 0 && atol(wanted + 6) > 0) {
        listener->pace = PACE_INTERVAL;
        listener->interval = atol(wanted + 6);
    } else if (strcmp(wanted, "robin") == 0) {
        listener->pace = PACE_ROBIN;
    } else if (strcmp(wanted, "burst") == 0) {
        listener->pace = PACE_BURST;
    } else {
        fprintf(stderr, "double: no such pace: %s\n", wanted);
        return false;
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    listener->kind = KIND_LISTENER;
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener->fd, (struct sockaddr *)&address, length) != 0 || listen(listener->fd, 4096) != 0) {
        perror("double");
        return false;
    }
    getsockname(listener->fd, (struct sockaddr *)&address, &length);
    listener->port = ntohs(address.sin_port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener->fd, &event);
    return true;
}

static void print_ports(void) {
    printf("{\"ports\":[");
    for (int index = 0; index < listener_count; index++) {
        printf("%s%d", index > 0 ? "," : "", listeners[index].port);
    }
    printf("]}\n");
    fflush(stdout);
}

int main(int argument_count, char **arguments) {
    static const struct option options[] = {{"tokens", required_argument, NULL, 't'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"parent", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    unsigned seconds = 600;
    int parent = 0, option;
    while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
        if (option == 't') tokens_per_answer = atol(optarg);
        if (option == 's') seconds = (unsigned)atoi(optarg);
        if (option == 'p') parent = atoi(optarg);
        if (option == '?') return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (parent != 0 && getppid() != parent) return 1;
    alarm(seconds > 0 ? seconds : 600);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (; optind < argument_count; optind++) {
        if (listener_count == MOST_LISTENERS || !listen_as(&listeners[listener_count], arguments[optind])) return 2;
        listener_count++;
    }
    if (listener_count == 0) {
        fprintf(stderr, "double: name at least one pace\n");
        return 2;
    }
    print_ports();
    serve();
}
