/* An HTTP/1.1 load generator for benchmarks: keep-alive connections that each send the next request as soon as they
 * have the answer to the last.
 *
 *     load --port PORT [--path PATH] [--connections C] [--warm-up S] [--seconds S] [--keys FILE] [--bodies FILE]
 *          [--rate R] [--parent PID] [--header LINE]…
 *
 * FILE holds one API key, or one JSON body, a line; they are taken round robin. Without bodies the request is a GET.
 * Prints JSON, one object a line: {"phase":"begin"} when the warm-up is over, {"phase":"end"} when the measured time
 * is, so that whoever started it reads other processes' CPU time then, and last the result. Latencies are in
 * microseconds, of requests that began and ended within the measured time; the first event is the first byte after the
 * head, of a unary answer too. Requests count when they end and events when they come, so that both fit the CPU time.
 *
 * With --rate the connections send R requests a second together, whether or not earlier ones are answered: what comes
 * due while every connection waits is counted as unsent. Then a 503 is no error but a request that was turned away,
 * with a latency of its own, and latencies begin when a request came due.
 *
 * Exits with 0 if every answer was good, with 3 if one was not (the first is shown on stderr; after 100 it gives up),
 * with 1 or 2 if it could not start. Ends after warm-up and seconds, at most 600, or with its parent. */
#define _GNU_SOURCE
#include "response.h"
#include "samples.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST_ERRORS 100
#define LONGEST_RUN 600.0

struct text {
    char *data;
    size_t length;
};

struct texts {
    struct text *items;
    long count;
};

struct connection {
    int fd;
    long started;           /* microseconds, when the request began to go out */
    struct text parts[3];   /* of the request: head, credential, body */
    size_t sent;            /* bytes of all parts together */
    bool waiting_for_room;
    bool counted;           /* the request began within the measured time */
    bool first_event_seen;
    struct response response;
};

static int port, connection_count = 1, epoll_fd;
static double warm_up = 1, seconds = 5, rate;
static const char *path = "/v1/chat/completions";
static struct texts heads, credentials, bodies;
static char *headers; /* further lines of every head, each with its end */
static long next_request;
static bool measuring;
static struct samples latencies, first_events, refusals;
static long requests, errors, events, body_bytes, reconnects, turned_away, unsent;
static struct connection **idle; /* those that wait for their turn, where there is a rate */
static int idle_count;

static long now_microseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

static void stop(const char *why) {
    perror(why);
    exit(1);
}

static void add_text(struct texts *texts, char *data, size_t length) {
    texts->items = realloc(texts->items, (size_t)(texts->count + 1) * sizeof *texts->items);
    if (texts->items == NULL) stop("load");
    texts->items[texts->count++] = (struct text){data, length};
}

/* Reads the lines of a file, without their ends and without empty ones. */
static void read_lines(const char *name, struct texts *texts) {
    FILE *file = fopen(name, "r");
    if (file == NULL) stop(name);
    for (;;) {
        char *line = NULL;
        size_t capacity = 0;
        ssize_t length = getline(&line, &capacity, file);
        if (length < 0) {
            free(line);
            break;
        }
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) line[--length] = '\0';
        if (length > 0) add_text(texts, line, (size_t)length);
    }
    fclose(file);
    if (texts->count == 0) {
        fprintf(stderr, "load: %s has no lines\n", name);
        exit(2);
    }
}

/* One head for each body, since its length stands there; one credential line for each key, which closes the head. */
static void prepare_requests(const char *keys_file, const char *bodies_file) {
    struct texts keys = {0};
    if (keys_file != NULL) read_lines(keys_file, &keys);
    if (bodies_file != NULL) read_lines(bodies_file, &bodies);
    if (bodies.count == 0) add_text(&bodies, "", 0);
    for (long index = 0; index < bodies.count; index++) {
        char *head = NULL, content[96] = "";
        if (bodies_file != NULL) {
            snprintf(content, sizeof content, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                     bodies.items[index].length);
        }
        const int length =
            asprintf(&head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\nAccept: */*\r\n%s%s",
                     bodies_file != NULL ? "POST" : "GET", path, port, headers != NULL ? headers : "", content);
        if (length < 0) stop("load");
        add_text(&heads, head, (size_t)length);
    }
    for (long index = 0; index < keys.count; index++) {
        char *credential = NULL;
        const int length = asprintf(&credential, "Authorization: Bearer %s\r\n\r\n", keys.items[index].data);
        if (length < 0) stop("load");
        add_text(&credentials, credential, (size_t)length);
    }
    if (keys.count == 0) add_text(&credentials, "\r\n", 2);
}

static void add_header(const char *line) {
    char *longer = NULL;
    if (asprintf(&longer, "%s%s\r\n", headers != NULL ? headers : "", line) < 0) stop("load");
    free(headers);
    headers = longer;
}

static void watch(struct connection *connection, bool for_room) {
    if (connection->waiting_for_room == for_room) return;
    connection->waiting_for_room = for_room;
    struct epoll_event event = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

/* Sends what is left of the request, as far as the socket takes it. A broken connection shows at the next read. */
static void send_rest(struct connection *connection) {
    for (;;) {
        struct iovec vector[3];
        int count = 0;
        size_t skip = connection->sent;
        for (int part = 0; part < 3; part++) {
            const struct text *text = &connection->parts[part];
            const size_t skipped = skip < text->length ? skip : text->length;
            skip -= skipped;
            if (skipped < text->length) {
                vector[count++] = (struct iovec){text->data + skipped, text->length - skipped};
            }
        }
        if (count == 0) break;
        const ssize_t written = writev(connection->fd, vector, count);
        if (written < 0) {
            watch(connection, errno == EAGAIN);
            return;
        }
        connection->sent += (size_t)written;
    }
    watch(connection, false);
}

static void send_next(struct connection *connection) {
    const long number = next_request++;
    /* One further at each round of the keys, so that a key does not meet the same body for ever. */
    const long body = (number + number / credentials.count) % bodies.count;
    connection->parts[0] = heads.items[body];
    connection->parts[1] = credentials.items[number % credentials.count];
    connection->parts[2] = bodies.items[body];
    connection->sent = 0;
    connection->counted = measuring;
    connection->first_event_seen = false;
    response_reset(&connection->response);
    connection->started = now_microseconds();
    send_rest(connection);
}

/* What a connection does that has its answer: waits for its turn, or sends at once. */
static void go_on(struct connection *connection) {
    if (rate > 0) {
        idle[idle_count++] = connection;
    } else {
        send_next(connection);
    }
}

/* Sends what has come due since `begin`, on connections that are free. */
static void send_due(long begin, long now) {
    static long due_before;
    const long due = (long)((double)(now - begin) / 1e6 * rate);
    for (; due_before < due; due_before++) {
        if (idle_count == 0) {
            if (measuring) unsent++;
            continue;
        }
        struct connection *connection = idle[--idle_count];
        send_next(connection);
        connection->started = begin + (long)((double)(due_before + 1) / rate * 1e6);
    }
}

static void open_connection(struct connection *connection) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0) stop("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    connection->waiting_for_room = false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
}

static void reopen(struct connection *connection) {
    close(connection->fd);
    reconnects++;
    open_connection(connection);
}

static void count_error(const struct connection *connection, const char *what) {
    if (errors++ == 0) {
        fprintf(stderr, "load: %s, status %d:\n%.*s\n", what, connection->response.status,
                (int)connection->response.head_length, connection->response.head);
    }
}

static void finish(struct connection *connection, enum progress progress) {
    const bool good = progress == PROGRESS_DONE && response_good(&connection->response);
    if (rate > 0 && progress == PROGRESS_DONE && connection->response.status == 503) {
        if (measuring) {
            turned_away++;
            if (connection->counted) samples_add(&refusals, now_microseconds() - connection->started);
        }
    } else if (!good) {
        count_error(connection, progress == PROGRESS_DONE ? "a bad answer" : "an answer that cannot be read");
    } else if (measuring) {
        requests++;
        if (connection->counted) samples_add(&latencies, now_microseconds() - connection->started);
    }
    if (connection->response.closes || progress == PROGRESS_BROKEN) reopen(connection);
    go_on(connection);
}

static void on_readable(struct connection *connection) {
    static char buffer[256 * 1024];
    const ssize_t length = read(connection->fd, buffer, sizeof buffer);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        count_error(connection, "the connection ended before the answer");
        reopen(connection);
        go_on(connection);
        return;
    }
    struct response *response = &connection->response;
    const long events_before = response->events, bytes_before = response->body_bytes;
    const enum progress progress = response_feed(response, buffer, (size_t)length);
    if (response->body_bytes > 0 && !connection->first_event_seen) {
        connection->first_event_seen = true;
        if (connection->counted) samples_add(&first_events, now_microseconds() - connection->started);
    }
    if (measuring) {
        events += response->events - events_before;
        body_bytes += response->body_bytes - bytes_before;
    }
    if (progress != PROGRESS_MORE) finish(connection, progress);
}

static void announce(const char *phase) {
    printf("{\"phase\":\"%s\"}\n", phase);
    fflush(stdout);
}

/* Runs warm-up and measured time; returns the measured seconds. */
static double run(struct connection *connections) {
    struct epoll_event ready[512];
    for (int index = 0; index < connection_count; index++) open_connection(&connections[index]);
    for (int index = 0; index < connection_count; index++) go_on(&connections[index]);
    const long first = now_microseconds(), begin = first + (long)(warm_up * 1e6);
    const long end = begin + (long)(seconds * 1e6);
    long begun = begin, now = now_microseconds();
    while (now < end && errors < MOST_ERRORS) {
        if (!measuring && now >= begin) {
            announce("begin");
            measuring = true;
            begun = now;
        }
        if (rate > 0) send_due(first, now);
        const int count = epoll_wait(epoll_fd, ready, 512, rate > 0 ? 1 : 10);
        for (int index = 0; index < count; index++) {
            struct connection *connection = ready[index].data.ptr;
            if (ready[index].events & EPOLLOUT) send_rest(connection);
            if (ready[index].events & ~(unsigned)EPOLLOUT) on_readable(connection);
        }
        now = now_microseconds();
    }
    announce("end");
    return (double)(now - begun) / 1e6;
}

static void print_result(double measured) {
    samples_sort(&latencies);
    samples_sort(&first_events);
    samples_sort(&refusals);
    printf("{\"connections\":%d,\"seconds\":%.3f,\"requests\":%ld,\"errors\":%ld,\"reconnects\":%ld,"
           "\"requests_per_second\":%.1f,\"events\":%ld,\"events_per_second\":%.1f,\"body_bytes\":%ld,"
           "\"latency_p50\":%u,\"latency_p99\":%u,\"latency_max\":%u,"
           "\"first_event_p50\":%u,\"first_event_p99\":%u,"
           "\"turned_away\":%ld,\"unsent\":%ld,\"refusal_p50\":%u,\"refusal_p99\":%u}\n",
           connection_count, measured, requests, errors, reconnects, (double)requests / measured, events,
           (double)events / measured, body_bytes, samples_percentile(&latencies, 50), samples_percentile(&latencies, 99),
           samples_percentile(&latencies, 100), samples_percentile(&first_events, 50),
           samples_percentile(&first_events, 99), turned_away, unsent, samples_percentile(&refusals, 50),
           samples_percentile(&refusals, 99));
}

int main(int argument_count, char **arguments) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'o'},    {"path", required_argument, NULL, 'a'},
        {"connections", required_argument, NULL, 'c'}, {"warm-up", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 's'}, {"keys", required_argument, NULL, 'k'},
        {"bodies", required_argument, NULL, 'b'},  {"parent", required_argument, NULL, 'p'},
        {"header", required_argument, NULL, 'h'},
        {"rate", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0}};
    const char *keys_file = NULL, *bodies_file = NULL;
    int parent = 0, option;
    while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
        switch (option) {
        case 'o': port = atoi(optarg); break;
        case 'a': path = optarg; break;
        case 'c': connection_count = atoi(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'k': keys_file = optarg; break;
        case 'b': bodies_file = optarg; break;
        case 'r': rate = atof(optarg); break;
        case 'p': parent = atoi(optarg); break;
        case 'h': add_header(optarg); break;
        default: return 2;
        }
    }
    if (port <= 0 || connection_count <= 0 || seconds <= 0 || warm_up < 0 || rate < 0 || warm_up + seconds > LONGEST_RUN) {
        fprintf(stderr, "load: needs --port, at least one connection, and at most %.0f seconds\n", LONGEST_RUN);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (parent != 0 && getppid() != parent) return 1;
    signal(SIGPIPE, SIG_IGN);
    prepare_requests(keys_file, bodies_file);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct connection *connections = calloc((size_t)connection_count, sizeof *connections);
    idle = calloc((size_t)connection_count, sizeof(struct connection *));
    if (connections == NULL || idle == NULL || epoll_fd < 0) stop("load");
    const double measured = run(connections);
    print_result(measured);
    return errors > 0 ? 3 : 0;
}
