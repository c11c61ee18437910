/* Takes the locks out of what includes it: `make check-tsan` has to find the
 * races that are then there, or its silence means nothing. */
#include <pthread.h>

#define pthread_mutex_lock(m) ((void)(m))
#define pthread_mutex_unlock(m) ((void)(m))
