/*
 * credproxy-helper: the program that Bazel starts for every URI, and, under the name docker-credential-credproxy,
 * the one that docker, podman, skopeo and crane start for every registry.
 *
 * A byte pump: standard input becomes the body of one HTTP request on the daemon's socket, the answer's body becomes
 * standard output. It does more only if nothing listens: it starts the daemon, and waits for its socket.
 *
 *   main              which protocol, which command
 *   ask               one question, one retry if the connection broke
 *   open_connection   find a listener, or start one; is it ours?
 *   launch            the daemon, cut off from everything that this process inherited
 *
 * credproxy_helper.py behaves the same, and passes the same tests. Source of the rules: CL-1 to CL-12 and CL-41.
 */
#ifdef __APPLE__
#define _DARWIN_C_SOURCE 1
#else
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <sys/syscall.h>
#endif

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 <asm-generic/socket.h> */
#endif

#ifndef CREDPROXY_VERSION
#define CREDPROXY_VERSION "unbuilt" /* hatch_build.py names the package's version */
#endif

enum {
    REQUEST_MAX = 65536,    /* the most that the daemon reads of a request's body */
    REQUEST_HEAD_MAX = 512, /* its fixed text has less than 300 bytes; path, type, version and numbers add less than 150 */
    ANSWER_HEAD_MAX = 8192, /* the daemon sends about 200; any HTTP server's own limit is 8 KiB */
    ANSWER_MAX = 8192,      /* the smallest pipe that a busy Linux user gets: one byte more and our one write would
                               block for ever, as Bazel reads only after our exit. The daemon stops at 8,000 */
    ERROR_MAX = 2048,       /* the error text could block in the same way (CL-5) */
    PATH_ROOM = 4096,       /* PATH_MAX */

    TIMEOUT_MS = 9000,      /* below Bazel's 10 s, after which it discards our error text (CL-6) */
    TIMEOUT_LEAST_MS = 100,
    TIMEOUT_MOST_MS = 600000,
    START_WAIT_MS = 3000,   /* a cold Python and aiohttp take 0.4 s, a busy machine several times that (CL-9) */
    RETURN_WAIT_MS = 1500,  /* if we may not start it: a restarting daemon is away for 0.25 to 1 s (F7) */
    ENDING_MS = 200,        /* a process with many pages needs some time to end */
    PASSED_ON_MS = 1000,    /* a daemon that ended at once may have found another one that is about to listen */
    RETRY_PAUSE_MS = 50,
    PAUSE_FIRST_MS = 10,
    PAUSE_MOST_MS = 50,
};

struct answer {
    int status;
    size_t length;
    const char *body;
};

enum likeness { SAME, OTHER, UNKNOWN }; /* how the listener's namespaces compare with our own */

struct start { /* what this process has done about a daemon that does not listen */
    int64_t began, until;
    int lock;     /* descriptor, or -1 */
    bool ours;    /* the lock is held: no other process starts one */
    pid_t daemon; /* 0: not started by us, -1: started, and gone again */
};

struct report { /* what the new process reports before it becomes the daemon */
    pid_t pid;
    int error; /* 0, or the error number */
};

extern char **environ;

/* Hints that are used twice. */
static const char RESTART[] = "ask again; restart the daemon if `credproxy status` does not answer either";
static const char OWN_PLACE[] = "set XDG_RUNTIME_DIR or CREDPROXY_SOCKET to a place of your own";
static const char SYSTEM_SERVICE[] =
    "as root, start its service with `systemctl start credproxy.socket`, or set CREDPROXY_SOCKET to a place of your own";
static const char MAKE_ROOM[] = "make room on that file system, then ask again";
static const char OTHER_PATH[] = "check the path, or set CREDPROXY_SOCKET to another";
static const char TOO_LONG[] = "no real URI is that long: look at what the caller sends";
static const char ELSEWHERE[] =
    "in a build action use the actions socket; in a devcontainer set CREDPROXY_PEER_NAMESPACES=any; "
    "otherwise delete the directory of that socket, which is not your daemon's";
static const char HIDDEN[] = "set CREDPROXY_PEER_NAMESPACES=any, which also trusts a daemon in a sandbox, "
                             "or have /proc mounted with gid= of a group of yours as well";
static const char BY_HAND[] = "run `credproxy serve` by hand to see why";

/* Variables that a service manager set for our caller, and not for the daemon. */
static const char *const supervision[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                          "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES"};

static struct sockaddr_un place = {.sun_family = AF_UNIX};
static char directory[sizeof place.sun_path];

/* CL-36: what every system takes, macOS included, and so what the daemon makes; with the zero. */
enum { SUN_PATH_ROOM = 104 };
static bool directory_is_roots, listener_gone;
static int64_t timeout_ms = TIMEOUT_MS, deadline;
static int error_fd = STDERR_FILENO; /* docker's protocol expects errors on standard output */

/* The body is read after the space for the head, so that both are sent at once. The last byte shows an overlong one. */
static char request[REQUEST_HEAD_MAX + REQUEST_MAX + 1];
static char *const body = request + REQUEST_HEAD_MAX;
static char received[ANSWER_HEAD_MAX + ANSWER_MAX];

/* ---- errors and time ------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    /* The clock of poll() and of Bazel's own timeout: it stops during suspend, and so do their timeouts. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int left_ms(void)
{
    int64_t left = deadline - now_ms();
    return left > 0 ? (int)left : 0;
}

/* Write everything; a caller that hung up no longer wants it (CL-8). Returns false on any other failure. */
static bool put(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) { /* the caller shares a non-blocking descriptor with us */
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (poll(&writable, 1, left_ms()) == 0)
                return false;
        } else if (errno != EINTR) {
            return errno == EPIPE;
        }
    }
    return true;
}

/* Exit with the cause in one line and a hint in another: ERROR_MAX bytes in total. */
static _Noreturn void __attribute__((format(printf, 2, 3))) fail(const char *hint, const char *format, ...)
{
    char text[ERROR_MAX];
    size_t room = sizeof text - strlen(hint) - 2; /* two line ends; hints are literals below 200 bytes */
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text, room, format, arguments);
    va_end(arguments);
    size_t size = wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room - 1;
    for (size_t i = 0; i < size; i++) /* a path from the environment must not forge lines or drive a terminal */
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    size += (size_t)snprintf(text + size, sizeof text - size, "\n%s\n", hint);
    put(error_fd, text, size);
    _exit(1);
}

/* "9.0", "0.25": milliseconds as seconds for people. One result at a time. */
static const char *seconds(int64_t ms)
{
    static char text[24]; /* 20 digits of an int64_t, the point, the end */
    int size = snprintf(text, sizeof text, "%d.%03d", (int)(ms / 1000), (int)(ms % 1000));
    while (text[size - 1] == '0' && text[size - 2] != '.')
        text[--size] = '\0';
    return text;
}

/* Wait until fd can be used; false when the time is over. The next call on it will report any error. */
static bool ready(int fd, short events)
{
    for (;;) {
        struct pollfd wanted = {.fd = fd, .events = events};
        int n = poll(&wanted, 1, left_ms());
        if (n >= 0)
            return n > 0;
        if (errno != EINTR)
            return true;
    }
}

static int64_t not_after_deadline(int64_t wait_ms)
{
    int64_t at = now_ms() + wait_ms;
    return at < deadline ? at : deadline;
}

static void pause_ms(int ms)
{
    int left = left_ms();
    poll(NULL, 0, ms < left ? ms : left);
}

/* ---- settings and paths ---------------------------------------------------------------------------------------- */

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* CREDPROXY_TIMEOUT: digits, and a fraction if wanted. Not strtod: that accepts "inf", "0x9" and depends on locales. */
static bool read_timeout(void)
{
    const char *text = setting("CREDPROXY_TIMEOUT");
    if (text == NULL)
        return true;
    const char *at = text;
    int64_t ms = 0;
    for (; *at >= '0' && *at <= '9' && ms <= TIMEOUT_MOST_MS; at++)
        ms = ms * 10 + (*at - '0') * 1000;
    if (at != text && *at == '.') {
        int unit = 100;
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
            ms += (*at - '0') * unit;
    }
    if (*at != '\0' || ms < TIMEOUT_LEAST_MS || ms > TIMEOUT_MOST_MS)
        return false;
    deadline += ms - timeout_ms;
    timeout_ms = ms;
    return true;
}

/* Separate from reading it, because standard input must be read before we exit (CL-2). */
static _Noreturn void refuse_timeout(void)
{
    fail("give seconds, such as 9 or 2.5, or unset it", "CREDPROXY_TIMEOUT must be from 0.1 to 600, not '%s'",
         setting("CREDPROXY_TIMEOUT"));
}

static bool may_start(void)
{
    const char *wanted = setting("CREDPROXY_AUTOSTART");
    return wanted == NULL || strcmp(wanted, "0") != 0;
}

/* A user who writes "false" or "no" wants no daemon: it must not be started because only 0 was understood. */
static void check_autostart(void)
{
    const char *wanted = setting("CREDPROXY_AUTOSTART");
    if (wanted != NULL && strcmp(wanted, "0") != 0 && strcmp(wanted, "1") != 0)
        fail("set it to 0 or to 1, or unset it", "CREDPROXY_AUTOSTART must be '0' or '1', not '%s'", wanted);
}

static void __attribute__((format(printf, 3, 4))) put_path(char *out, size_t room, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(out, room, format, arguments);
    va_end(arguments);
    if (wanted < 0 || (size_t)wanted >= room)
        fail("set CREDPROXY_SOCKET to a shorter path", "'%s...' is longer than the %zu bytes that it may have", out,
             room - 1);
}

static bool is_directory(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static bool is_program(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode) && access(path, X_OK) == 0;
}

/* The sixth field of this user's line. By hand: getpwuid() needs shared libraries, and a static program has none. */
static bool home_from_passwd(char *out, size_t room)
{
    struct stat found;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0 || found.st_size <= 0)
        return false;
    const char *line = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (line == MAP_FAILED)
        return false;
    const char *end = line + found.st_size;
    char wanted[16]; /* ten digits, the end */
    int digits = snprintf(wanted, sizeof wanted, "%u", (unsigned)geteuid());
    for (const char *next; line < end; line = next) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));
        eol = eol != NULL ? eol : end;
        next = eol + 1;
        const char *field[7]; /* name:password:uid:gid:comment:home:shell */
        int fields = 0;
        for (const char *at = line; at != NULL && fields < 7; fields++) {
            field[fields] = at;
            at = memchr(at, ':', (size_t)(eol - at));
            at = at != NULL ? at + 1 : NULL;
        }
        if (fields == 7 && field[3] - field[2] == digits + 1 && memcmp(field[2], wanted, (size_t)digits) == 0) {
            put_path(out, room, "%.*s", (int)(field[6] - field[5] - 1), field[5]);
            return out[0] == '/';
        }
    }
    return false;
}

static const char *home(void)
{
    static char found[PATH_ROOM];
    const char *path = setting("HOME");
    if (path != NULL && path[0] == '/')
        return path;
    return home_from_passwd(found, sizeof found) ? found : NULL;
}

/* CL-11: the environment is the caller's, which may be bare. The daemon binds to the path that the same steps give. */
static void find_socket(void)
{
    const char *path = setting("CREDPROXY_SOCKET"), *runtime = setting("XDG_RUNTIME_DIR");
    char own[32]; /* "/run/user/", ten digits, the end */
    snprintf(own, sizeof own, "/run/user/%u", (unsigned)geteuid());
    if (path != NULL) {
        if (path[0] != '/' || path[1] == '\0')
            fail("set it to an absolute path, or unset it", "CREDPROXY_SOCKET is not an absolute path: '%s'", path);
        put_path(place.sun_path, SUN_PATH_ROOM, "%s", path);
    } else if (runtime != NULL && runtime[0] == '/' && is_directory(runtime)) {
        put_path(place.sun_path, SUN_PATH_ROOM, "%s/credproxy/helper.sock", runtime);
    } else if (is_directory(own)) {
        put_path(place.sun_path, SUN_PATH_ROOM, "%s/credproxy/helper.sock", own);
    } else if (home() != NULL) {
        put_path(place.sun_path, SUN_PATH_ROOM, "%s/.local/state/credproxy/run/helper.sock", home());
    } else {
        fail("set HOME, XDG_RUNTIME_DIR or CREDPROXY_SOCKET",
             "no place for the socket: HOME is not set, and /etc/passwd has no entry for uid %u", (unsigned)geteuid());
    }
    size_t size = (size_t)(strrchr(place.sun_path, '/') - place.sun_path);
    memcpy(directory, place.sun_path, size != 0 ? size : 1);
}

static void find_log(char *out)
{
    const char *state = setting("XDG_STATE_HOME");
    if (state != NULL && state[0] == '/')
        put_path(out, PATH_ROOM, "%s/credproxy/daemon.log", state);
    else if (home() != NULL)
        put_path(out, PATH_ROOM, "%s/.local/state/credproxy/daemon.log", home());
    else
        put_path(out, PATH_ROOM, "/dev/null");
}

/* Make every directory above the last slash of path; new ones are private. Using the path will show any failure. */
static void make_parents(const char *path)
{
    char part[PATH_ROOM];
    put_path(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(part, 0700);
        *slash = '/';
    }
}

/* ---- starting the daemon --------------------------------------------------------------------------------------- */

static bool own_path(char *out, size_t room)
{
#ifdef __APPLE__
    char unresolved[PATH_ROOM];
    uint32_t size = sizeof unresolved;
    (void)room; /* PATH_MAX is 1024 there, which is what realpath writes at most */
    return _NSGetExecutablePath(unresolved, &size) == 0 && realpath(unresolved, out) != NULL;
#else
    ssize_t size = readlink("/proc/self/exe", out, room - 1);
    out[size > 0 ? size : 0] = '\0';
    return size > 0;
#endif
}

/* `credproxy` beside this file, else on PATH; never relative to the working directory, which is the caller's. */
static bool look_for_program(char *out)
{
    char here[PATH_ROOM];
    if (own_path(here, sizeof here)) {
        *strrchr(here, '/') = '\0';
        if (snprintf(out, PATH_ROOM, "%s/credproxy", here) < PATH_ROOM && is_program(out))
            return true;
    }
    const char *at = setting("PATH");
    for (at = at != NULL ? at : "/usr/local/bin:/usr/bin:/bin"; *at != '\0';) {
        int size = (int)strcspn(at, ":");
        if (*at == '/' && snprintf(out, PATH_ROOM, "%.*s/credproxy", size, at) < PATH_ROOM && is_program(out))
            return true;
        at += size;
        at += *at == ':';
    }
    return false;
}

static void find_program(char *out)
{
    if (!look_for_program(out))
        fail("install credproxy beside credproxy-helper or on PATH, or start its daemon yourself with `credproxy serve`",
             "nothing listens on '%s', and there is no program `credproxy` to start", place.sun_path);
}

static void close_from(int lowest)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, lowest, ~0U, 0) == 0)
        return;
#endif
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = lowest; fd < (most > 0 && most < 65536 ? most : 65536); fd++)
        close(fd);
}

/* The caller reads our output to its end, without a timeout: one descriptor left open here hangs a build (CL-9). */
static _Noreturn void become_daemon(const char *program, const char *log, int tell)
{
    struct report report = {.pid = getpid(), .error = 0};
    int quiet = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(quiet, fd); /* before the log is opened, which may block on a slow file system */
    make_parents(log);
    int kept = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    if (kept >= 0 && dup2(kept, 1) == 1)
        dup2(1, 2);
    dup2(tell, 3);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    close_from(4);
    for (int number = 1; number < 32; number++) /* an ignored signal stays ignored across exec; SIGCHLD would do harm */
        signal(number, SIG_DFL);
    for (size_t i = 0; i < sizeof supervision / sizeof supervision[0]; i++)
        unsetenv(supervision[i]);
    /* Bind where we look, whatever it would derive from the environment: elsewhere it would not be found, and remain. */
    setenv("CREDPROXY_SOCKET", place.sun_path, 1);
    char *arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)"serve", NULL};
    if (chdir("/") == 0 && write(3, &report.pid, sizeof report.pid) == sizeof report.pid)
        execve(program, arguments, environ);
    report.error = errno;
    (void)!write(3, &report.error, sizeof report.error);
    _exit(127);
}

/* Fork twice, so that the daemon has no terminal and is not our child. Returns its pid once it runs. */
static pid_t launch(const char *program, const char *log)
{
    struct report report = {.pid = 0, .error = 0};
    int tell[2];
    pid_t child = pipe(tell) == 0 ? fork() : -1;
    if (child < 0)
        fail("close some programs", "cannot start the daemon '%s': %s", program, strerror(errno));
    if (child == 0) {
        setsid();
        child = fork();
        if (child == 0)
            become_daemon(program, log, tell[1]);
        if (child < 0)
            (void)!write(tell[1], &(struct report){.pid = -1, .error = errno}, sizeof report);
        _exit(0);
    }
    close(tell[1]);
    waitpid(child, NULL, 0);
    size_t have = 0;
    while (have < sizeof report && ready(tell[0], POLLIN)) { /* it is closed when the program has been executed */
        ssize_t n = read(tell[0], (char *)&report + have, sizeof report - have);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    close(tell[0]);
    if (report.error != 0)
        fail("check that it is installed completely: run it by hand", "cannot start the daemon '%s': %s", program,
             strerror(report.error));
    return report.pid;
}

/* Ask a pidfd if there is one: many containers do not reap, and kill() takes a zombie for alive. */
static bool has_ended(pid_t pid)
{
#ifdef SYS_pidfd_open
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (ended.fd >= 0) {
        int n = poll(&ended, 1, 0);
        close(ended.fd);
        return n == 1;
    }
#endif
    return kill(pid, 0) != 0 && errno == ESRCH;
}

/* True once this process is the one that may start the daemon. Closing it releases the lock, also on exit. */
static bool lock_start(struct start *start)
{
    char path[sizeof directory + sizeof "/autostart.lock"];
    if (start->lock < 0) {
        make_parents(place.sun_path);
        put_path(path, sizeof path, "%s/autostart.lock", directory);
        start->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (start->lock < 0)
            /* In root's directory a system service listens; elsewhere a daemon could not make its socket either. */
            fail(directory_is_roots ? SYSTEM_SERVICE : errno == ENOSPC ? MAKE_ROOM : OWN_PLACE,
                 "nothing listens on '%s', and no daemon can be started: '%s': %s", place.sun_path, path,
                 strerror(errno));
    }
    return flock(start->lock, LOCK_EX | LOCK_NB) == 0;
}

static _Noreturn void give_up(const struct start *start, const char *log)
{
    const char *waited = seconds(start->until - start->began);
    if (log == NULL)
        fail("start the daemon with `credproxy serve`, or unset CREDPROXY_AUTOSTART",
             "nothing listens on '%s', and CREDPROXY_AUTOSTART=0 forbids starting the daemon", place.sun_path);
    if (start->daemon < 0)
        fail(BY_HAND, "the daemon ended without listening on '%s'; its log is '%s'", place.sun_path, log);
    fail(BY_HAND, "the daemon does not listen on '%s' %s s after its start; its log is '%s'", place.sun_path, waited,
         log);
}

/* Take one step towards a listener, or fail. Returns true if it is worth connecting again at once. */
static bool bring_up(struct start *start)
{
    static char program[PATH_ROOM], log[PATH_ROOM];
    bool allowed = may_start();
    if (start->until == 0) {
        start->began = now_ms();
        start->until = not_after_deadline(allowed ? START_WAIT_MS : is_directory(directory) ? RETURN_WAIT_MS : 0);
        if (allowed) {
            find_program(program);
            find_log(log);
        }
    }
    if (now_ms() >= start->until)
        give_up(start, allowed ? log : NULL);
    if (!allowed)
        return false;
    if (!start->ours)
        return start->ours = lock_start(start); /* the previous holder may have started one */
    if (start->daemon == 0) {
        start->daemon = launch(program, log);
    } else if (start->daemon > 0 && has_ended(start->daemon)) {
        start->daemon = -1;
        start->until = not_after_deadline(PASSED_ON_MS);
    }
    return false;
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

/* T4: in a directory that others can write to, anybody may have made the socket. False if there is no such directory. */
static bool check_directory(void)
{
    struct stat found;
    if (stat(directory, &found) != 0) {
        if (errno == ENOENT)
            return false;
        fail(OTHER_PATH, "cannot look into '%s': %s", directory, strerror(errno));
    }
    if (found.st_uid != geteuid() && found.st_uid != 0)
        fail(OWN_PLACE, "the socket's directory '%s' belongs to uid %u, not to you (uid %u) or root", directory,
             (unsigned)found.st_uid, (unsigned)geteuid());
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        fail((found.st_mode & S_ISVTX) != 0 /* meant for everybody, such as /tmp */
                 ? OWN_PLACE
                 : "make it private with `chmod 700`, after checking who owns what is in it",
             "the socket's directory '%s' can be written by others (mode %04o)", directory,
             (unsigned)found.st_mode & 07777);
    directory_is_roots = found.st_uid == 0;
    return true;
}

/* In root's directory only root makes a socket, and gives it to the user of a system service. */
static bool is_roots_choice(uid_t uid)
{
    struct stat found;
    return directory_is_roots && lstat(place.sun_path, &found) == 0 && S_ISSOCK(found.st_mode) && found.st_uid == uid;
}

#ifndef __APPLE__
/* Read the beginning of a file below /proc/WHO. Returns its size; 0 if it cannot be read. */
static size_t read_proc(const char *who, const char *name, char *out, size_t room)
{
    char path[48]; /* "/proc/", ten digits, a slash, the longest name below, the end */
    snprintf(path, sizeof path, "/proc/%s/%s", who, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, out, room - 1) : -1;
    if (fd >= 0)
        close(fd);
    out[size > 0 ? size : 0] = '\0';
    return size > 0 ? (size_t)size : 0;
}

/* The number of the first mount: unique on the machine, and in one mount namespace only. */
static enum likeness compare_mounts(const char *pid)
{
    char theirs[16], ours[16]; /* ten digits and a space; for so short a read the kernel writes one line, not all */
    if (read_proc(pid, "mountinfo", theirs, sizeof theirs) == 0 || read_proc("self", "mountinfo", ours, sizeof ours) == 0)
        return UNKNOWN;
    return atoi(theirs) == atoi(ours) ? SAME : OTHER;
}

/* "NSpid:" has a number for each pid namespace from the one of /proc on, so a single one means the same namespace. */
static enum likeness compare_pids(const char *pid)
{
    char self[16] = ""; /* ten digits */
    if (readlink("/proc/self", self, sizeof self - 1) <= 0 || atoi(self) != getpid())
        return UNKNOWN; /* this /proc belongs to another pid namespace, where numbers mean other processes */
    size_t size = read_proc(pid, "status", received, sizeof received); /* the groups come before it, and may be many */
    const char *line = size > 0 ? strstr(received, "\nNSpid:\t") : NULL;
    if (line == NULL)
        return UNKNOWN;
    line += sizeof "\nNSpid:\t" - 1;
    return line[strspn(line, "0123456789")] == '\n' ? SAME : OTHER;
}

/* The namespace's name if it may be read, else the map of user ids: that of an ordinary user's sandbox is different. */
static enum likeness compare_users(const char *pid)
{
    char path[32], theirs[4096] = "", ours[4096] = ""; /* a name has under 20 bytes, a line of a map 33 */
    snprintf(path, sizeof path, "/proc/%s/ns/user", pid);
    if (readlink(path, theirs, sizeof theirs - 1) > 0)
        return readlink("/proc/self/ns/user", ours, sizeof ours - 1) > 0 && strcmp(theirs, ours) == 0 ? SAME : OTHER;
    if (read_proc(pid, "uid_map", theirs, sizeof theirs) == 0 || read_proc("self", "uid_map", ours, sizeof ours) == 0)
        return UNKNOWN;
    return strcmp(theirs, ours) == 0 ? SAME : OTHER;
}

/* Whether /proc hides processes that may not be traced, such as our daemon: hidepid, which is listed if it is set. */
static bool proc_hides(void)
{
    bool hides = false;
    read_proc("self", "mounts", received, sizeof received);
    for (char *line = received; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        if (strstr(line, " /proc proc ") != NULL) /* the last mount hides earlier ones */
            hides = strstr(line, "hidepid=") != NULL;
        line = end != NULL ? end + 1 : NULL;
    }
    return hides;
}

/* Whether the very process that called listen() has ended; another one may have its pid by now. */
static bool listener_ended(int fd, pid_t pid, int wait_ms)
{
    int held = -1;
    socklen_t size = sizeof held;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &held, &size) == 0) {
        struct pollfd ended = {.fd = held, .events = POLLIN};
        int n = poll(&ended, 1, wait_ms);
        close(held);
        return n == 1;
    }
    return errno != ENOPROTOOPT || has_ended(pid); /* before Linux 6.5 the pid is the best there is */
}

static bool any_namespaces(void)
{
    const char *wanted = setting("CREDPROXY_PEER_NAMESPACES");
    if (wanted != NULL && strcmp(wanted, "any") != 0 && strcmp(wanted, "same") != 0)
        fail("set it to any or to same, or unset it", "CREDPROXY_PEER_NAMESPACES must be 'any' or 'same', not '%s'",
             wanted);
    return wanted != NULL && strcmp(wanted, "any") == 0;
}

/*
 * T11: a sandboxed build action has our user id, and may create a socket where we look for the daemon's.
 *
 * False if the process that called listen() has ended: another process holds its socket. A service manager keeps one for
 * the daemon's successor, which calls listen() itself, so that the next attempt can tell; any other holder is not a
 * daemon. This compares what the kernel shows to everybody. It shows the names of the namespaces of a process
 * that is not dumpable, such as our daemon, only to root.
 */
static bool check_namespaces(int fd, pid_t peer)
{
    if (any_namespaces())
        return true;
    char pid[16]; /* ten digits, the end */
    snprintf(pid, sizeof pid, "%d", (int)peer);
    const char *const names[] = {"mnt", "pid", "user"};
    /* Pid 0: the process has no pid in our pid namespace. */
    enum likeness found[] = {peer != 0 ? compare_mounts(pid) : UNKNOWN,
                             peer != 0 ? compare_pids(pid) : OTHER, peer != 0 ? compare_users(pid) : UNKNOWN};
    /* A process that is just ending may be unreadable: its namespaces are gone some time before its end is visible. */
    bool known = found[0] != UNKNOWN && found[1] != UNKNOWN && found[2] != UNKNOWN;
    if (peer != 0 && listener_ended(fd, peer, known ? 0 : ENDING_MS))
        return false;
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++)
        if (found[i] == OTHER)
            fail(ELSEWHERE, "the program that listens on '%s' is in a sandbox or container, or its caller is: "
                            "they are in different namespaces (%s)", place.sun_path, names[i]);
    if (peer != 0 && !known && proc_hides())
        fail(HIDDEN, "/proc is mounted with hidepid, and hides the namespaces of the program that listens on "
                     "'%s'", place.sun_path);
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++)
        if (found[i] == UNKNOWN)
            fail(ELSEWHERE, "/proc hides the namespaces of the program that listens on '%s' (%s)",
                 place.sun_path, names[i]);
    return true;
}
#endif

/* T4: the directory shows who may have made the socket, but only the kernel knows who listens. False as above. */
static bool check_peer(int fd)
{
#ifdef __APPLE__
    uid_t uid = (uid_t)-1;
    gid_t gid;
    bool known = getpeereid(fd, &uid, &gid) == 0;
#else
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    uid_t uid = peer.uid;
#endif
    if (!known || (uid != geteuid() && uid != 0 && !is_roots_choice(uid)))
        fail("remove that socket after finding out whose it is, then start the daemon again",
             "the program that listens on '%s' runs as uid %u, not as you (uid %u) or root", place.sun_path,
             (unsigned)uid, (unsigned)geteuid());
#ifndef __APPLE__
    if (uid == geteuid()) /* a process in our sandboxes cannot have another user's id */
        return check_namespaces(fd, peer.pid);
#endif
    return true;
}

/* One attempt. Returns a descriptor, or -1; then *absent tells whether nothing listens or the listener is busy. */
static int connect_once(bool *absent)
{
    *absent = true;
    if (!check_directory())
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        fail("close some programs", "cannot make a socket: %s", strerror(errno));
    /* Blocking: a full queue then makes us wait our turn, where a non-blocking connect is refused (F8, PY9). */
    int left = left_ms() > 0 ? left_ms() : 1; /* 0 would be for ever */
    struct timeval patience = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&place, sizeof place) == 0) {
        listener_gone = !check_peer(fd);
        if (!listener_gone)
            return fd;
        close(fd);
        *absent = false;
        return -1;
    }
    int why = errno;
    close(fd);
    *absent = why == ENOENT || why == ECONNREFUSED;
    if (!*absent && why != EAGAIN && why != EINTR && why != ECONNRESET && why != ENOTCONN)
        fail(OTHER_PATH, "cannot connect to '%s': %s", place.sun_path, strerror(why));
    return -1;
}

static int open_connection(void)
{
    struct start start = {.lock = -1};
    for (int pause = PAUSE_FIRST_MS;; pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS) {
        bool absent;
        int fd = connect_once(&absent);
        if (fd >= 0) {
            if (start.lock >= 0)
                close(start.lock);
            return fd;
        }
        if (absent && bring_up(&start))
            continue;
        if (left_ms() == 0 && listener_gone)
            fail("run `systemctl --user restart credproxy.socket`; without systemd delete the directory of that socket",
                 "the program that listened on '%s' has ended, and no daemon has taken its place for %s s",
                 place.sun_path, seconds(timeout_ms));
        if (left_ms() == 0)
            fail(RESTART, "the daemon on '%s' has taken no connection for %s s", place.sun_path, seconds(timeout_ms));
        pause_ms(pause);
    }
}

/* ---- one question over HTTP/1.1 -------------------------------------------------------------------------------- */

static const char VERSION[] = "HTTP/1.1 ";

static _Noreturn void too_slow(void)
{
    fail(RESTART, "the daemon on '%s' has not answered for %s s", place.sun_path, seconds(timeout_ms));
}

static _Noreturn void unexpected(const char *what)
{
    fail("check that what listens there is credproxy, in the helper's version",
         "unexpected answer from the daemon on '%s': %s", place.sun_path, what);
}

/* An error is ignored: a daemon that refuses a request may have answered before reading all of it. */
static void send_request(int fd, const char *path, const char *type, size_t length)
{
    char head[REQUEST_HEAD_MAX];
    size_t size = (size_t)snprintf(head, sizeof head,
                                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nAccept: text/plain\r\n"
                                   "Content-Length: %zu\r\nX-Credproxy-Deadline-Ms: %d\r\nX-Credproxy-Parent: %ld\r\n"
                                   "X-Credproxy-Version: " CREDPROXY_VERSION "\r\nConnection: close\r\n\r\n",
                                   path, type, length, left_ms(), (long)getppid());
    const char *data = memcpy(body - size, head, size);
    for (size += length; size > 0;) {
        if (!ready(fd, POLLOUT))
            too_slow();
        ssize_t n = send(fd, data, size, MSG_DONTWAIT);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return;
        }
    }
}

/* "Content-Length:" OWS 1*DIGIT OWS CRLF, after the name. */
static size_t parse_length(const char *at)
{
    size_t value = 0;
    at += strspn(at, " \t");
    const char *first = at;
    for (; *at >= '0' && *at <= '9' && value <= ANSWER_MAX; at++)
        value = value * 10 + (size_t)(*at - '0');
    if (value > ANSWER_MAX)
        unexpected("more than 8192 bytes");
    bool any = at != first;
    at += strspn(at, " \t");
    if (!any || *at != '\r')
        unexpected("a Content-Length that is not a number");
    return value;
}

/* The status line after VERSION, and the length; size includes the empty line, whose CRLF ends every scan below. */
static void parse_head(const char *head, size_t size, struct answer *answer)
{
    static const char length_name[] = "content-length:", coding_name[] = "transfer-encoding:";
    bool known = false;
    const char *code = head + sizeof VERSION - 1;
    if (memchr(head, '\0', size) != NULL || strspn(code, "0123456789") != 3 || (code[3] != ' ' && code[3] != '\r'))
        unexpected("no status line");
    answer->status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    for (const char *line = strchr(head, '\n') + 1; line + 2 < head + size; line = strchr(line, '\n') + 1) {
        if (strncasecmp(line, coding_name, sizeof coding_name - 1) == 0)
            unexpected("a Transfer-Encoding");
        if (strncasecmp(line, length_name, sizeof length_name - 1) != 0)
            continue;
        if (known)
            unexpected("two lengths");
        known = true;
        answer->length = parse_length(line + sizeof length_name - 1);
    }
    if (!known)
        unexpected("no Content-Length");
}

/* False if the connection ended before the answer was complete; nothing has been written by then, so ask again. */
static bool receive(int fd, struct answer *answer)
{
    size_t have = 0, head = 0;
    for (;;) {
        if (memcmp(received, VERSION, have < sizeof VERSION - 1 ? have : sizeof VERSION - 1) != 0)
            unexpected("not HTTP/1.1");
        const char *end = head == 0 ? memmem(received, have, "\r\n\r\n", 4) : NULL;
        if (head == 0 && (end != NULL ? (size_t)(end - received) + 4 : have) > ANSWER_HEAD_MAX)
            unexpected("a head of more than 8192 bytes");
        if (end != NULL) {
            head = (size_t)(end - received) + 4;
            parse_head(received, head, answer);
            answer->body = received + head;
        }
        if (head != 0 && have - head >= answer->length)
            return true;
        if (!ready(fd, POLLIN))
            too_slow();
        ssize_t n = recv(fd, received + have, sizeof received - have, 0);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        have += n > 0 ? (size_t)n : 0;
    }
}

static struct answer ask(const char *path, const char *type, size_t length)
{
    struct answer answer = {0};
    for (int attempt = 1; attempt <= 2; attempt++) {
        int fd = open_connection();
        send_request(fd, path, type, length);
        if (receive(fd, &answer))
            return answer;
        close(fd);
        pause_ms(RETRY_PAUSE_MS); /* the connection broke: the daemon stopped or was killed; its successor answers */
    }
    fail("ask again; if this persists, look in the daemon's log",
         "the daemon on '%s' closed the connection twice before its answer was complete", place.sun_path);
}

/* ---- the two protocols ----------------------------------------------------------------------------------------- */

/* Always read to the end: a caller whose write fails reports "Broken pipe", and not our message (CL-2). */
static size_t read_stdin(void)
{
    size_t have = 0;
    bool overlong = false;
    for (;;) {
        if (!ready(STDIN_FILENO, POLLIN))
            fail("close it after the request; to type a question use `credproxy-helper get --uri URI`",
                 "standard input has not ended for %s s", seconds(timeout_ms));
        ssize_t n = read(STDIN_FILENO, body + have, REQUEST_MAX + 1 - have);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            fail("this is a fault of the calling program", "cannot read standard input: %s", strerror(errno));
        have += n > 0 ? (size_t)n : 0;
        if (have > REQUEST_MAX) {
            overlong = true;
            have = 0;
        }
    }
    if (overlong)
        fail(TOO_LONG, "the request on standard input is longer than %d bytes", REQUEST_MAX);
    return have;
}

/* {"uri":"..."}: the quote, the backslash and control characters escaped, every other byte as it is (RFC 8259). */
static size_t put_uri(const char *uri)
{
    size_t size = (size_t)snprintf(body, REQUEST_MAX, "{\"uri\":\"");
    for (; *uri != '\0'; uri++) {
        char piece[7] = {*uri}; /* backslash, u, four digits, the end */
        if (*uri == '"' || *uri == '\\')
            snprintf(piece, sizeof piece, "\\%c", *uri);
        else if ((unsigned char)*uri < ' ')
            snprintf(piece, sizeof piece, "\\u%04x", (unsigned)*uri);
        size_t length = strlen(piece);
        if (size + length + 2 > REQUEST_MAX)
            fail(TOO_LONG, "the URI makes a request longer than %d bytes", REQUEST_MAX);
        memcpy(body + size, piece, length);
        size += length;
    }
    memcpy(body + size, "\"}", 2);
    return size + 2;
}

/* Write the answer to standard output, in one write; anything else as two lines where the protocol expects errors. */
static int deliver(const struct answer *answer)
{
    if (answer->status == 200) {
        if (!put(STDOUT_FILENO, answer->body, answer->length))
            fail("make room, or fix the redirection", "cannot write the answer to standard output: %s",
                 strerror(errno));
        return 0;
    }
    if (answer->length == 0)
        fail("look in the daemon's log", "the daemon answered with status %d and no text", answer->status);
    size_t size = answer->length < ERROR_MAX ? answer->length : ERROR_MAX - 1;
    put(error_fd, answer->body, size);
    if (answer->body[size - 1] != '\n')
        put(error_fd, "\n", 1);
    return 1;
}

static int say(int fd, const char *text, int status)
{
    put(fd, text, strlen(text));
    return status;
}

static bool is_one_of(const char *word, const char *first, const char *second, const char *third)
{
    return strcmp(word, first) == 0 || strcmp(word, second) == 0 || strcmp(word, third) == 0;
}

static const char BAZEL_USAGE[] = "usage: credproxy-helper get < REQUEST\n       credproxy-helper get --uri URI\n";
static const char BAZEL_HELP[] =
    "\n"
    "Ask the credproxy daemon for the credential of a URI, and\n"
    "start the daemon if none listens.\n"
    "REQUEST is {\"uri\": \"https://...\"}; the answer is what\n"
    "Bazel's --credential_helper expects.\n"
    "\n"
    "  get              ask\n"
    "  -h, --help       print this text\n"
    "  --version        print the version\n"
    "\n"
    "  CREDPROXY_SOCKET           the daemon's socket\n"
    "  CREDPROXY_AUTOSTART=0      do not start the daemon\n"
    "  CREDPROXY_TIMEOUT          seconds to wait, 9 unless set\n"
    "  CREDPROXY_PEER_NAMESPACES  any: also trust a daemon\n"
    "                             outside this container\n"
    "\n"
    "Exit status: 0 for a credential or for {}, 1 for an error.\n";

static int serve_bazel(int argc, char **argv)
{
    if (argc == 2 && is_one_of(argv[1], "--help", "-h", "help"))
        return say(STDOUT_FILENO, BAZEL_USAGE, 0) + say(STDOUT_FILENO, BAZEL_HELP, 0);
    if (argc == 2 && is_one_of(argv[1], "--version", "-V", "version"))
        return say(STDOUT_FILENO, "credproxy-helper (credproxy) " CREDPROXY_VERSION "\n", 0);
    bool named = argc == 4 && strcmp(argv[2], "--uri") == 0;
    if ((argc != 2 && !named) || strcmp(argv[1], "get") != 0)
        return say(STDERR_FILENO, BAZEL_USAGE, 1);
    bool timeout_valid = read_timeout();
    size_t length = named ? put_uri(argv[3]) : read_stdin();
    if (!timeout_valid)
        refuse_timeout();
    check_autostart();
    if (length == 0)
        fail("write {\"uri\": \"https://...\"} to it, or use `credproxy-helper get --uri URI`",
             "the request on standard input is empty");
    if (named && argv[3][0] == '\0')
        fail("such as `credproxy-helper get --uri https://ghcr.io`", "the URI after --uri is empty");
    find_socket();
    struct answer answer = ask("/v1/get", "application/json", length);
    return deliver(&answer);
}

static const char DOCKER_USAGE[] = "usage: docker-credential-credproxy get|store|erase|list|version\n";
static const char DOCKER_HELP[] =
    "\n"
    "Docker's credential helper protocol, answered by the\n"
    "credproxy daemon, which is started if none listens.\n"
    "\n"
    "  get         print the login of the server URL on\n"
    "              standard input\n"
    "  store       store the login on standard input where\n"
    "              `credproxy login` would\n"
    "  erase       delete the login of the server URL on\n"
    "              standard input, as `credproxy logout` does\n"
    "  list        print the server URLs that logins are stored\n"
    "              for, and their users\n"
    "  version     print the version\n"
    "  -h, --help  print this text\n"
    "\n"
    "Exit status: 0 for a login and for what was done; 1 if\n"
    "there is none, or for an error, which is printed on\n"
    "standard output.\n";

/* The daemon does not store logins: a separate process does, and then ends. */
static _Noreturn void hand_over(const char *command)
{
    char program[PATH_ROOM];
    if (!look_for_program(program))
        fail("install credproxy beside docker-credential-credproxy or on PATH", "there is no program `credproxy` to run");
    signal(SIGPIPE, SIG_DFL);
    execl(program, program, "docker-credential", command, (char *)NULL);
    fail("install credproxy again", "cannot run '%s': %s", program, strerror(errno));
}

/* Source: docker-credential-helpers, credentials/credentials.go: errors go to standard output, with exit status 1. */
static int serve_docker(int argc, char **argv)
{
    const char *command = argc == 2 ? argv[1] : "";
    error_fd = STDOUT_FILENO;
    if (is_one_of(command, "store", "erase", "list"))
        hand_over(command);
    if (is_one_of(command, "--help", "-h", "help"))
        return say(STDOUT_FILENO, DOCKER_USAGE, 0) + say(STDOUT_FILENO, DOCKER_HELP, 0);
    if (is_one_of(command, "--version", "-V", "version"))
        return say(STDOUT_FILENO, "docker-credential-credproxy (credproxy) " CREDPROXY_VERSION "\n", 0);
    if (strcmp(command, "get") != 0)
        return say(STDOUT_FILENO, DOCKER_USAGE, 1);
    bool timeout_valid = read_timeout();
    size_t length = read_stdin();
    if (!timeout_valid)
        refuse_timeout();
    check_autostart();
    if (length == 0)
        return say(STDOUT_FILENO, "no credentials server URL\n", 1); /* the wording of the protocol */
    find_socket();
    struct answer answer = ask("/v1/docker/get", "text/plain", length);
    return deliver(&answer);
}

int main(int argc, char **argv)
{
    deadline = now_ms() + timeout_ms;
    for (int fd = 0; fd <= 2; fd++) /* a socket with the number of a closed stderr would receive our error text */
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_DFL); /* Bazel waits for us without limit, whatever we inherited (CL-7) */
    signal(SIGPIPE, SIG_IGN);
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    return strcmp(name, "docker-credential-credproxy") == 0 ? serve_docker(argc, argv) : serve_bazel(argc, argv);
}
