/* Opens N connections to a Unix socket at once, sends one request on each, then reads every answer.
 *
 *   herd SOCKET COUNT BODY...
 *
 * Several bodies take turns; an @ in one stands for the number of the connection.
 * Prints "ok=N failed=N seconds=S". All requests are sent before the first answer is read, so that the server
 * really holds COUNT questions at one time. Connects are blocking, as the helper's are: a full queue makes us wait.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_one(const struct sockaddr_un *address, const char *request, size_t length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int ask(const struct sockaddr_un *address, const char *body, size_t number)
{
    char text[2048];
    char request[4096];
    const char *at = strchr(body, '@');
    int size = at == NULL ? snprintf(text, sizeof text, "%s", body)
                          : snprintf(text, sizeof text, "%.*s%zu%s", (int)(at - body), body, number, at + 1);
    int length = snprintf(request, sizeof request,
                          "POST /v1/get HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                          "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                          size, text);
    if (size < 0 || (size_t)size >= sizeof text || length < 0 || (size_t)length >= sizeof request)
        return -1;
    return open_one(address, request, (size_t)length);
}

static int answered_well(int fd)
{
    char head[64] = {0};
    char rest[16384];
    ssize_t n = recv(fd, head, sizeof head - 1, 0);
    if (n < 12)
        return 0;
    while (recv(fd, rest, sizeof rest, 0) > 0)
        ;
    return strncmp(head, "HTTP/1.1 200", 12) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: herd SOCKET COUNT BODY...\n");
        return 2;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t count = (size_t)strtoul(argv[2], NULL, 10);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);

    int *fds = calloc(count, sizeof *fds);
    if (fds == NULL)
        return 2;

    double start = now();
    size_t ok = 0;
    for (size_t i = 0; i < count; i++)
        fds[i] = ask(&address, argv[3 + i % (size_t)(argc - 3)], i);
    for (size_t i = 0; i < count; i++) {
        if (fds[i] < 0)
            continue;
        struct timeval patience = {.tv_sec = 30};
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ok += (size_t)answered_well(fds[i]);
        close(fds[i]);
    }
    printf("ok=%zu failed=%zu seconds=%.3f\n", ok, count - ok, now() - start);
    free(fds);
    return ok == count ? 0 : 1;
}
