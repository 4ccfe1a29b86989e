/* Preloaded into a process: records each host that it asks for, one a line in the file $RECORD_NETWORK, and refuses.
   Loopback and sockets of other families than the internet's go through. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void record(const char *what, const char *host) {
    const char *path = getenv("RECORD_NETWORK");
    char line[600];
    int length = snprintf(line, sizeof line, "%s %.500s\n", what, host);
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file < 0 || write(file, line, length) != length)
        abort(); /* better no process than one that is not watched */
    close(file);
}

static int near(const char *name) {
    return !name || !*name || !strcmp(name, "localhost") || !strncmp(name, "127.", 4) || !strcmp(name, "::1");
}

static int refused(const char *what, const struct sockaddr *address) {
    char host[INET6_ADDRSTRLEN] = "";
    if (!address)
        return 0;
    if (address->sa_family == AF_INET) {
        const struct in_addr *ip = &((const struct sockaddr_in *)address)->sin_addr;
        if (ntohl(ip->s_addr) >> 24 == 127 || !ip->s_addr)
            return 0;
        inet_ntop(AF_INET, ip, host, sizeof host);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
        int mapped = IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127;
        if (IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_UNSPECIFIED(ip) || mapped)
            return 0;
        inet_ntop(AF_INET6, ip, host, sizeof host);
    } else
        return 0;
    record(what, host);
    errno = ENETUNREACH;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    if (near(name) || (hints && hints->ai_flags & AI_NUMERICHOST))
        return REAL(getaddrinfo)(name, port, hints, found);
    record("name", name);
    return EAI_AGAIN;
}

struct hostent *gethostbyname(const char *name) {
    if (near(name))
        return REAL(gethostbyname)(name);
    record("name", name);
    h_errno = TRY_AGAIN;
    return NULL;
}

struct hostent *gethostbyname2(const char *name, int family) {
    if (near(name))
        return REAL(gethostbyname2)(name, family);
    record("name", name);
    h_errno = TRY_AGAIN;
    return NULL;
}

int gethostbyname_r(const char *name, struct hostent *host, char *space, size_t size, struct hostent **found,
                    int *error) {
    if (near(name))
        return REAL(gethostbyname_r)(name, host, space, size, found, error);
    record("name", name);
    *found = NULL;
    *error = TRY_AGAIN;
    return EAGAIN;
}

int gethostbyname2_r(const char *name, int family, struct hostent *host, char *space, size_t size,
                     struct hostent **found, int *error) {
    if (near(name))
        return REAL(gethostbyname2_r)(name, family, host, space, size, found, error);
    record("name", name);
    *found = NULL;
    *error = TRY_AGAIN;
    return EAGAIN;
}

int connect(int file, const struct sockaddr *address, socklen_t size) {
    return refused("connect", address) ? -1 : REAL(connect)(file, address, size);
}

ssize_t sendto(int file, const void *data, size_t length, int flags, const struct sockaddr *address, socklen_t size) {
    return refused("send", address) ? -1 : REAL(sendto)(file, data, length, flags, address, size);
}

ssize_t sendmsg(int file, const struct msghdr *message, int flags) {
    return refused("send", message->msg_name) ? -1 : REAL(sendmsg)(file, message, flags);
}
