/* What an id is, for whoever asks for one and whoever finds one in an answer. */
#ifndef KAP_ID_H
#define KAP_ID_H

#define KAP_ID_LENGTH_MAX 64 /* bytes */

#endif
