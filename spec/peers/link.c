/*
 * A bad line between two network namespaces, for kernels without tc's netem:
 *
 *   link NEAR FAR DELAY JITTER LOSS REORDER
 *
 * NEAR and FAR are files such as /proc/PID/ns/net. In each it makes the tun
 * device wan0, says "ready", and from then on carries each packet over after
 * DELAY, give or take JITTER, milliseconds; LOSS percent of them it loses,
 * REORDER percent it sends at once, before those that wait. The meaning is
 * netem's, the TCP on both sides the kernel's own. Ends with its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 2048
#define WAITING_MAX 1000 /* netem's own limit */

typedef struct packet packet;
struct packet {
    packet *next;
    double due;
    size_t len;
    int to;
    char data[PACKET_MAX];
};

static packet *waiting;
static int n_waiting;
static double delay, jitter, loss, reorder;

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec * 1e-6;
}

static double chance(double up_to)
{
    return (double)random() / (double)RAND_MAX * up_to;
}

static int device(const char *netns)
{
    struct ifreq req = {.ifr_name = "wan0"};
    int ns = open(netns, O_RDONLY | O_CLOEXEC), tun;
    req.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0 ||
        (tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0 ||
        ioctl(tun, TUNSETIFF, &req) != 0) {
        fprintf(stderr, "link: %s: %s\n", netns, strerror(errno));
        exit(1);
    }
    close(ns);
    return tun;
}

static void enqueue(packet *p)
{
    packet **at = &waiting;
    while (*at != NULL && (*at)->due <= p->due)
        at = &(*at)->next;
    p->next = *at;
    *at = p;
    n_waiting++;
}

static void take(int from, int to)
{
    for (;;) {
        packet *p = malloc(sizeof *p);
        ssize_t n = p != NULL ? read(from, p->data, sizeof p->data) : -1;
        if (n <= 0 || n_waiting >= WAITING_MAX || chance(100) < loss) {
            free(p);
            if (n <= 0)
                return;
            continue;
        }
        p->len = (size_t)n;
        p->to = to;
        p->due = now();
        if (chance(100) >= reorder)
            p->due += delay - jitter + chance(2 * jitter);
        enqueue(p);
    }
}

static void give(void)
{
    while (waiting != NULL && waiting->due <= now()) {
        packet *p = waiting;
        waiting = p->next;
        n_waiting--;
        if (write(p->to, p->data, p->len) < 0 && errno == EBADF)
            exit(1);
        free(p);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    int near = device(argv[1]), far = device(argv[2]);
    delay = atof(argv[3]);
    jitter = atof(argv[4]);
    loss = atof(argv[5]);
    reorder = atof(argv[6]);
    srandom(1);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = near, .events = POLLIN},
            {.fd = far, .events = POLLIN},
            {.fd = 0, .events = POLLIN},
        };
        double wait = waiting != NULL ? waiting->due - now() : 1000;
        struct timespec ts = {0};
        char c;
        if (wait > 0) {
            ts.tv_sec = (time_t)(wait / 1e3);
            ts.tv_nsec = (long)((wait - (double)ts.tv_sec * 1e3) * 1e6);
        }
        if (ppoll(fds, 3, &ts, NULL) < 0 && errno != EINTR)
            return 1;
        if (fds[2].revents != 0 && read(0, &c, 1) <= 0)
            return 0;
        take(near, far);
        take(far, near);
        give();
    }
}
